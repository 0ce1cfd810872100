//! A shared cache behind a web server, which only reads: a bucket or a folder that is served.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    LARGEST, RemoteError, RemoteKind, limits,
    objects::{Counters, EachRead, Edit, Fault, Go, Listed, Objects, Parts, Put, Wanted},
};
use crate::source::hub::{AskedObject, ObjectServer};

/// A shared cache that an `http://` or `https://` address names.
pub(super) struct HttpRemote;

/// Time without a byte after which an attempt has failed.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };

impl RemoteKind for HttpRemote {
    fn is_meant(&self, given: &str) -> bool {
        given.starts_with("http://") || given.starts_with("https://")
    }

    fn is_network(&self) -> bool {
        true
    }

    fn open(&self, given: &str, _: &Path, counters: Arc<Counters>) -> Result<Arc<dyn Objects>, RemoteError> {
        let server = ObjectServer::new(given, limits(PATIENCE)).map_err(|reason| RemoteError::new(given, reason))?;
        Ok(Arc::new(Http { server, counters }))
    }
}

/// Objects that a web server has.
struct Http {
    server: ObjectServer,
    counters: Arc<Counters>,
}

impl Objects for Http {
    fn is_writable(&self) -> bool {
        false
    }

    fn read(&self, wanted: &[Wanted], each: &mut EachRead<'_>) {
        let asked = wanted.iter().map(|one| AskedObject { path: one.name.clone(), range: one.range.clone() });
        let counters = self.counters.clone();
        let count: Arc<dyn Fn() + Send + Sync> = Arc::new(move || counters.read());
        self.server.get(&asked.collect::<Vec<_>>(), LARGEST, &count, &mut |number, read| {
            if let Ok(Some(bytes)) = &read {
                self.counters.received(bytes.len());
            }
            each(number, read.map_err(Fault)) == Go::On
        });
    }

    fn write(&self, _: Vec<Put>) -> Result<(), Fault> {
        Err(cannot("written"))
    }

    fn send(&self, _: &str, _: u64, _: &mut Parts<'_>) -> Result<(), Fault> {
        Err(cannot("written"))
    }

    fn update(&self, _: &str, _: &mut Edit<'_>) -> Result<(), Fault> {
        Err(cannot("written"))
    }

    fn list(&self, _: &str, _: &mut dyn FnMut(Listed)) -> Result<(), Fault> {
        Err(cannot("listed"))
    }

    fn remove(&self, _: &[String]) -> Result<(), Fault> {
        Err(cannot("removed"))
    }
}

fn cannot(what: &str) -> Fault {
    Fault(format!("objects behind a web server cannot be {what}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let counters = Arc::<Counters>::default();
        let objects = HttpRemote.open(&address, Path::new("."), counters.clone()).unwrap();
        let wanted = ["a", "b"].map(|name| Wanted { name: name.to_owned(), range: None });
        let mut answers = Vec::new();
        objects.read(&wanted, &mut |_, read| {
            answers.push(read);
            Go::Stop
        });
        assert_eq!(answers, [Err(Fault("no answer in time (tried 4 times)".to_owned()))]);
        assert!(counters.requests().reads >= 4);
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_shown() {
        let error = HttpRemote.open("https://me:hf_CANARY@cache.example/x", Path::new("."), Arc::default());
        let error = error.err().unwrap().to_string();
        assert!(error.contains("cache.example") && !error.contains("CANARY"), "{error}");
        assert!(HttpRemote.open("http://cache.example", Path::new("."), Arc::default()).is_err(), "plain http");
    }
}
