//! Addresses of buckets, and the variables of the environment that say how to reach them.

use std::sync::Arc;

use object_store::{
    ObjectStore, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder,
};

use super::{error::clean, transport::Connector};
use crate::{source::hub::root, system};

/// A service that has buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// S3, and whatever speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage, whose buckets are containers.
    Azure,
}

/// The services with what their addresses begin with.
const SCHEMES: &[(&str, Service)] = &[("s3://", Service::S3), ("gs://", Service::Google), ("az://", Service::Azure)];

impl Service {
    /// Returns what the names of its variables begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    /// Returns the variables that name another endpoint than the service's own.
    pub(super) fn endpoints(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"],
            Self::Google => &["GOOGLE_BASE_URL"],
            Self::Azure => &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
        }
    }

    /// Returns the variables that hold credentials, in words.
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Self::Google => "GOOGLE_APPLICATION_CREDENTIALS",
            Self::Azure => "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        }
    }
}

/// The address of a bucket or of a folder in one: `s3://bucket/folder`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketAddress {
    /// Where the bucket is.
    pub(crate) service: Service,
    /// Name of the bucket.
    pub(crate) bucket: String,
    /// The folder in the bucket, without slashes around it; empty for the bucket itself.
    pub(crate) folder: String,
}

impl BucketAddress {
    /// Parses an address. The error says in words what is wrong with it.
    pub(crate) fn parse(given: &str) -> Result<Self, String> {
        let split = SCHEMES.iter().find_map(|(scheme, service)| Some((*service, given.strip_prefix(scheme)?)));
        let (service, rest) = split.ok_or("it is not the address of a bucket")?;
        if rest.split('/').next().is_some_and(|host| host.contains('@')) {
            return Err(format!("it holds a user name or password; set {} instead", service.credentials()));
        }
        let rest = rest.trim_end_matches('/');
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_plain) || bucket.starts_with('.') {
            return Err("it names no bucket: write it as s3://bucket/folder".to_owned());
        }
        let is_bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['?', '#', '%', '\\', '*', '[']);
        if !folder.is_empty()
            && (folder.split('/').any(is_bad) || folder.chars().any(|c| c.is_control() || !c.is_ascii()))
        {
            return Err("its folder is not a plain path".to_owned());
        }
        Ok(Self { service, bucket: bucket.to_owned(), folder: folder.to_owned() })
    }

    /// Connects to the bucket without a request. The error says in words what is wrong with the environment.
    pub(super) fn connect(&self, variables: &Variables, connector: Connector) -> Result<Arc<dyn ObjectStore>, String> {
        // The transport repeats requests.
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        /// Passes on each variable that the crate knows. Those about the client itself have no effect: it is ours.
        macro_rules! configured {
            ($builder:ty) => {
                variables.0.iter().fold(<$builder>::new(), |builder, (name, value)| {
                    match name.to_ascii_lowercase().parse() {
                        Ok(key) => builder.with_config(key, value),
                        Err(_) => builder,
                    }
                })
            };
        }
        let connected = match self.service {
            Service::S3 => configured!(AmazonS3Builder)
                .with_bucket_name(&self.bucket)
                .with_retry(once)
                .with_http_connector(connector)
                .build()
                .map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Service::Google => configured!(GoogleCloudStorageBuilder)
                .with_bucket_name(&self.bucket)
                .with_retry(once)
                .with_http_connector(connector)
                .build()
                .map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Service::Azure => configured!(MicrosoftAzureBuilder)
                .with_container_name(&self.bucket)
                .with_retry(once)
                .with_http_connector(connector)
                .build()
                .map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
        };
        connected.map_err(|error| match self.service {
            Service::Azure if variables.get("AZURE_STORAGE_ACCOUNT_NAME").is_none() => {
                "set AZURE_STORAGE_ACCOUNT_NAME, the storage account that has the container".to_owned()
            }
            service => {
                format!("the variables {}… are not as they should be: {}", service.prefix(), clean(&root(&error)))
            }
        })
    }
}

/// Variables of the environment that concern one service.
#[derive(Clone, Default)]
pub(crate) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Reads those of this process.
    pub(crate) fn of_process(service: Service) -> Self {
        let names = system::env_names(service.prefix());
        Self(names.into_iter().filter_map(|name| system::env(&name).map(|value| (name, value))).collect())
    }

    /// Creates variables of their own, for tests.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Returns the value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (given, bucket, folder) in [
            ("s3://team", "team", ""),
            ("gs://team.cache/", "team.cache", ""),
            ("az://team/a/b-c_d.e/", "team", "a/b-c_d.e"),
        ] {
            let address = BucketAddress::parse(given).unwrap();
            assert_eq!((address.bucket.as_str(), address.folder.as_str()), (bucket, folder), "{given}");
        }
        for (given, word) in [
            ("s3://", "names no bucket"),
            ("s3:///x", "names no bucket"),
            ("s3://a b/x", "names no bucket"),
            ("s3://AKIA:CANARY@team/x", "AWS_ACCESS_KEY_ID"),
            ("gs://CANARY@team", "GOOGLE_APPLICATION_CREDENTIALS"),
            ("s3://team/a//b", "plain path"),
            ("s3://team/../b", "plain path"),
            ("s3://team/a?versionId=1", "plain path"),
            ("s3a://team", "not the address"),
        ] {
            let error = BucketAddress::parse(given).unwrap_err();
            assert!(error.contains(word) && !error.contains("CANARY"), "{given}: {error}");
        }
    }
}
