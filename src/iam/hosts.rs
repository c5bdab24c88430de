//! Where Huawei Cloud's services are, by region.
//!
//! Reads keys and reports what is wrong with them; contacts nobody.

use crate::http::read_place;
use crate::yaml::{Key, Section, Shape};

/// The keys that say where a service is.
pub const PLACE: &[Key] = &[
    Key::new("region", Shape::Text, "The region; or name an endpoint.").example("ap-southeast-3"),
    Key::new("endpoint", Shape::Text, "Instead of the region's own host: private clouds, proxies.")
        .example("https://proxy.example.com"),
];
/// Either of them.
pub const PLACES: &[&[&str]] = &[&["region"], &["endpoint"]];

/// The hosts that are not called as all others are: service, region, host.
const EXCEPTIONS: [(&str, &str, &str); 4] = [
    ("dayu-dlf", "cn-east-4", "dayu.cn-east-4.myhuaweicloud.com"),
    ("iam", "eu-west-101", "iam.eu-west-101.myhuaweicloud.eu"),
    ("obs", "eu-west-101", "obs.eu-west-101.myhuaweicloud.eu"),
    ("smn", "eu-west-101", "smn.eu-west-101.myhuaweicloud.eu"),
];

/// The address of a service in a region.
pub fn endpoint_of(service: &str, region: &str) -> String {
    format!("https://{}", host_of(service, region))
}

fn host_of(service: &str, region: &str) -> String {
    let exception = EXCEPTIONS.iter().find(|(s, r, _)| (*s, *r) == (service, region));
    exception.map_or_else(|| format!("{service}.{region}.myhuaweicloud.com"), |(_, _, host)| (*host).to_string())
}

/// The address of a service out of a section's `endpoint`, which wins, or its `region`.
pub fn read_endpoint(section: &Section<'_>, service: &str) -> Option<String> {
    read_place(section, "ap-southeast-3", |region| host_of(service, region)).map(|(endpoint, _)| endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_a_rule_with_exceptions() {
        for (service, region, host) in [
            ("dayu-dlf", "ap-southeast-3", "dayu-dlf.ap-southeast-3.myhuaweicloud.com"),
            ("dayu-dlf", "cn-east-4", "dayu.cn-east-4.myhuaweicloud.com"),
            ("dayu-dlf", "eu-west-101", "dayu-dlf.eu-west-101.myhuaweicloud.com"),
            ("iam", "cn-east-4", "iam.cn-east-4.myhuaweicloud.com"),
            ("iam", "eu-west-101", "iam.eu-west-101.myhuaweicloud.eu"),
            ("smn", "eu-west-101", "smn.eu-west-101.myhuaweicloud.eu"),
        ] {
            assert_eq!(endpoint_of(service, region), format!("https://{host}"));
        }
    }
}
