//! Huawei Cloud DataArts Factory.

mod paging;

/// Settings.
#[derive(Debug, Clone)]
pub struct Settings {}

impl Settings {
    /// Reads the keys of a `dataarts` source.
    pub fn read(section: &crate::yaml::Section<'_>) -> Option<Settings> {
        let _ = (section.optional::<String>("region"), section.optional::<String>("endpoint"));
        let _ = (section.node("project_id"), section.optional::<String>("workspace"));
        let _ = (section.optional::<f64>("requests_per_second"), section.optional::<std::path::PathBuf>("ca_file"));
        if let Some(auth) = section.required_section("auth") {
            for key in ["access_key", "secret_key", "security_token", "token"] {
                let _ = auth.optional::<crate::secret::SecretRef>(key);
            }
            auth.close();
        }
        Some(Settings {})
    }
}
