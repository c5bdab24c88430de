//! Where an API is, by the keys `endpoint` and `region` of a section.
//!
//! Reads keys and reports what is wrong with them; contacts nobody.

use reqwest::Url;

use crate::yaml::Section;

/// The address of an API in the configuration, without a slash at its end. What is wrong with it is reported at `key`.
pub fn checked_endpoint(section: &Section<'_>, key: &'static str, text: &str) -> Option<String> {
    let wrong = |message: &str| {
        section.error(key, message, Some("write it as https://host or https://host:port".into()));
        None
    };
    let Ok(url) = Url::parse(text) else { return wrong("this is not a valid address") };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return wrong("an address beginning with https:// or http:// is needed");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return wrong("an address has no user, query or fragment here");
    }
    Some(url.as_str().trim_end_matches('/').to_string())
}

/// The address of an API and its region: of `endpoint`, which wins, or of the host that `host_of` gives the region. `example`
/// is a region that there is.
pub fn read_place(
    section: &Section<'_>,
    example: &str,
    host_of: impl Fn(&str) -> String,
) -> Option<(String, Option<String>)> {
    let region = section.optional::<String>("region");
    if let Some(wrong) = region.as_ref().filter(|region| !is_region(region)) {
        section.error("region", format!("{wrong:?} is not a valid region"), Some(format!("for example {example}")));
        return None;
    }
    if section.has("endpoint") {
        let endpoint = checked_endpoint(section, "endpoint", &section.optional::<String>("endpoint")?)?;
        return Some((endpoint, region));
    }
    if !section.has("region") {
        let help = format!("for example region: {example}, or endpoint: https://… for a host of its own");
        section.error("", "one of the keys \"region\" and \"endpoint\" is missing", Some(help));
        return None;
    }
    let region = region?;
    Some((format!("https://{}", host_of(&region)), Some(region)))
}

/// Whether a text can be a region's name, which becomes a part of a host's.
pub fn is_region(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
