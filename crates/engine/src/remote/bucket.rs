//! A shared cache in a bucket of S3, Google Cloud Storage or Azure Blob Storage, or of whatever speaks the protocol of one.

use std::{path::Path, sync::Arc};

use super::{
    RemoteError, RemoteKind,
    objects::{Counters, Objects},
};
#[cfg(feature = "bucket")]
use crate::source::bucket::Variables;

/// A shared cache that an `s3://`, `gs://` or `az://` address names.
pub(super) struct BucketRemote;

/// What the addresses of buckets begin with.
const SCHEMES: [&str; 3] = ["s3://", "gs://", "az://"];

impl RemoteKind for BucketRemote {
    fn is_meant(&self, given: &str) -> bool {
        SCHEMES.iter().any(|scheme| given.starts_with(scheme))
    }

    fn is_network(&self) -> bool {
        true
    }

    #[cfg(not(feature = "bucket"))]
    fn open(&self, given: &str, _: &Path, _: Arc<Counters>) -> Result<Arc<dyn Objects>, RemoteError> {
        let reason = "this datac was built without the `bucket` feature; see docs/remote-cache.md";
        Err(RemoteError::unusable(given, reason))
    }

    #[cfg(feature = "bucket")]
    fn open(&self, given: &str, _: &Path, counters: Arc<Counters>) -> Result<Arc<dyn Objects>, RemoteError> {
        Ok(Arc::new(open::Stored::open(given, &Variables::of_process, counters)?))
    }
}

#[cfg(feature = "bucket")]
mod open {
    use std::{sync::Arc, time::Duration};

    use crate::{
        remote::{
            LARGEST, RemoteError, limits,
            objects::{Counters, EachRead, Edit, Fault, Go, How, Listed, Objects, Parts, Put, Wanted},
        },
        source::{
            bucket::{Bucket, BucketAddress, BucketError, BucketRequest, Service, Variables},
            hub::AskedObject,
        },
    };

    /// Time without a byte in either direction after which an attempt has failed.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Objects in a bucket.
    pub(super) struct Stored {
        bucket: Bucket,
        counters: Arc<Counters>,
    }

    impl Stored {
        /// Opens a bucket without a request.
        pub(super) fn open(
            given: &str,
            variables: &dyn Fn(Service) -> Variables,
            counters: Arc<Counters>,
        ) -> Result<Self, RemoteError> {
            let address = BucketAddress::parse(given).map_err(|reason| RemoteError::new(given, reason))?;
            let variables = variables(address.service);
            let counted = counters.clone();
            let count = move |request| match request {
                BucketRequest::Read => counted.read(),
                BucketRequest::Write(bytes) => counted.write(bytes),
                BucketRequest::List => counted.list(),
                BucketRequest::Remove => counted.remove(),
            };
            let bucket = Bucket::open(address, &variables, limits(PATIENCE), LARGEST, Arc::new(count));
            let bucket = bucket.map_err(|reason| RemoteError::unusable(given, reason))?;
            Ok(Self { bucket, counters })
        }
    }

    impl Objects for Stored {
        fn is_writable(&self) -> bool {
            true
        }

        fn read(&self, wanted: &[Wanted], each: &mut EachRead<'_>) {
            let asked = wanted.iter().map(|one| AskedObject { path: one.name.clone(), range: one.range.clone() });
            self.bucket.get(&asked.collect::<Vec<_>>(), &mut |number, read| {
                if let Ok(Some(bytes)) = &read {
                    self.counters.received(bytes.len());
                }
                each(number, read.map_err(fault)) == Go::On
            });
        }

        fn write(&self, objects: Vec<Put>) -> Result<(), Fault> {
            let (replaced, absent): (Vec<Put>, Vec<Put>) = objects.into_iter().partition(|put| put.how == How::Replace);
            for (objects, only_if_absent) in [(absent, true), (replaced, false)] {
                let objects = objects.into_iter().map(|put| (put.name, put.bytes)).collect();
                self.bucket.put(objects, only_if_absent).map_err(fault)?;
            }
            Ok(())
        }

        fn send(&self, name: &str, bytes: u64, parts: &mut Parts<'_>) -> Result<(), Fault> {
            let mut failed = None;
            let sent =
                self.bucket.send(name, bytes, &mut |most| parts(most).map_err(|fault| failed = Some(fault)).ok());
            match failed {
                Some(fault) => Err(fault),
                None => sent.map_err(self::fault),
            }
        }

        fn copy(&self, from: &str, to: &str) -> bool {
            self.bucket.copy(from, to)
        }

        fn update(&self, name: &str, edit: &mut Edit<'_>) -> Result<(), Fault> {
            self.update_all(&[name.to_owned()], &mut |_, old| edit(old))
        }

        fn update_all(
            &self,
            names: &[String],
            edit: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Option<Vec<u8>>,
        ) -> Result<(), Fault> {
            self.counters.received(self.bucket.update(names, edit).map_err(fault)?);
            Ok(())
        }

        fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), Fault> {
            self.bucket
                .list(prefix, &mut |object| {
                    each(Listed { name: object.name, bytes: object.size, changed_ns: object.changed_ns });
                })
                .map_err(fault)
        }

        fn remove(&self, names: &[String]) -> Result<(), Fault> {
            self.bucket.remove(names).map_err(fault)
        }
    }

    fn fault(error: BucketError) -> Fault {
        Fault(error.to_string())
    }
}

/// Opens a bucket in an environment of its own.
#[cfg(all(test, feature = "bucket"))]
pub(super) fn open_with(given: &str, variables: &[(&str, &str)], counters: Arc<Counters>) -> Arc<dyn Objects> {
    Arc::new(open::Stored::open(given, &|_| Variables::of(variables), counters).expect("a bucket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_address_are_refused_and_not_shown() {
        let error = BucketRemote.open("s3://me:CANARY@team/x", Path::new("."), Arc::default()).err().unwrap();
        assert!(error.to_string().starts_with("`s3://team/x` is not a shared cache"), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}
