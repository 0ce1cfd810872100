//! Tests buckets against one in the test process.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Bucket, BucketAddress, BucketError, BucketRequest, Variables,
    server::{self, BucketServer},
};
use crate::source::hub::{AskedObject, Limits};

/// Limits with which a test does not wait long between attempts.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(20),
    answer: Duration::from_secs(20),
    slowest: 1,
    attempts: 3,
    base_delay: Duration::from_millis(1),
    max_wait: Duration::from_millis(10),
};

type Counted = Arc<Mutex<Vec<BucketRequest>>>;

fn open_with(address: &str, variables: &[(&str, &str)]) -> Result<(Bucket, Counted), String> {
    open_within(LIMITS, address, variables)
}

fn open_within(limits: Limits, address: &str, variables: &[(&str, &str)]) -> Result<(Bucket, Counted), String> {
    let counted = Counted::default();
    let count = counted.clone();
    let count = Arc::new(move |request| count.lock().unwrap().push(request));
    let address = BucketAddress::parse(address)?;
    Ok((Bucket::open(address, &Variables::of(variables), limits, 1 << 20, count)?, counted))
}

fn open(server: &BucketServer, address: &str) -> (Bucket, Counted) {
    let variables = server.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    open_with(address, &variables).unwrap()
}

fn google(server: &BucketServer, address: &str) -> (Bucket, Counted) {
    open_with(address, &[("GOOGLE_BASE_URL", &server.endpoint()), ("GOOGLE_BEARER_TOKEN", server::TOKEN)]).unwrap()
}

type Read = Result<Option<Vec<u8>>, BucketError>;

fn get(bucket: &Bucket, asked: &[(&str, Option<std::ops::Range<u64>>)]) -> Vec<Read> {
    let asked: Vec<AskedObject> =
        asked.iter().map(|(path, range)| AskedObject { path: (*path).to_owned(), range: range.clone() }).collect();
    let mut read: Vec<Read> = vec![Ok(None); asked.len()];
    bucket.get(&asked, &mut |number, one| {
        read[number] = one;
        true
    });
    read
}

fn get_one(bucket: &Bucket, name: &str) -> Read {
    get(bucket, &[(name, None)]).remove(0)
}

fn update(
    bucket: &Bucket,
    name: &str,
    edit: &mut dyn FnMut(Option<Vec<u8>>) -> Option<Vec<u8>>,
) -> Result<(), BucketError> {
    bucket.update(&[name.to_owned()], &mut |_, old| edit(old)).map(|_| ())
}

fn put(bucket: &Bucket, name: &str, bytes: &[u8], only_if_absent: bool) -> Result<(), BucketError> {
    bucket.put(vec![(name.to_owned(), bytes.to_owned())], only_if_absent)
}

fn azure(server: &BucketServer, address: &str) -> (Bucket, Counted) {
    let (endpoint, (account, key)) = (server.endpoint(), server::ACCOUNT);
    let variables = [
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
        ("AZURE_STORAGE_ACCOUNT_NAME", account),
        ("AZURE_STORAGE_ACCOUNT_KEY", key),
    ];
    open_with(address, &variables).unwrap()
}

/// The services that the server speaks for.
fn services(server: &BucketServer) -> [(Bucket, Counted); 3] {
    [open(server, "s3://team/folder"), google(server, "gs://team/folder/"), azure(server, "az://team/folder")]
}

#[test]
fn what_is_written_is_read_listed_and_removed() {
    let server = BucketServer::start();
    server.page(3);
    for (bucket, counted) in services(&server) {
        assert_eq!(get_one(&bucket, "a/x"), Ok(None));
        let large: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        let names: Vec<String> = (0..10).map(|number| format!("a/{number}")).collect();
        bucket.put(names.iter().map(|name| (name.clone(), large.clone())).collect(), true).unwrap();
        put(&bucket, "b", b"", false).unwrap();
        server.set("folder2/stranger", "x");
        assert_eq!(get_one(&bucket, "a/3"), Ok(Some(large.clone())));
        assert_eq!(get_one(&bucket, "b"), Ok(Some(Vec::new())));
        let read = get(&bucket, &[("a/1", Some(5..9)), ("a/1", Some(299_990..400_000)), ("a/1", Some(7..7))]);
        assert_eq!(read, [Ok(Some(large[5..9].to_vec())), Ok(Some(large[299_990..].to_vec())), Ok(Some(Vec::new()))]);
        assert_eq!(get(&bucket, &[("a/1", Some(300_000..300_001))]), [Ok(Some(Vec::new()))], "behind its end");

        let listed = |folder: &str| {
            let mut found = Vec::new();
            bucket.list(folder, &mut |object| found.push((object.name, object.size, object.changed_ns))).unwrap();
            found
        };
        assert_eq!(listed("a").iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>(), names);
        let (name, size, changed_ns) = listed("a")[0].clone();
        assert_eq!((name.as_str(), size, changed_ns / 1_000_000_000), ("a/0", 300_000, 1_767_323_045));
        assert_eq!(listed("").len(), 11);
        bucket.remove(&[&names[..], &["a/none".to_owned()]].concat()).unwrap();
        assert_eq!(listed("").len(), 1);
        bucket.remove(&["b".to_owned()]).unwrap();

        let counted = counted.lock().unwrap();
        let of = |kind: fn(&BucketRequest) -> bool| counted.iter().filter(|request| kind(request)).count();
        assert_eq!(of(|request| matches!(request, BucketRequest::Write(300_000))), 10);
        assert_eq!(of(|request| matches!(request, BucketRequest::Write(0))), 1);
        assert_eq!(of(|request| *request == BucketRequest::List), 4 + 4 + 4 + 1, "three objects a page");
        assert!(of(|request| *request == BucketRequest::Remove) >= 2);
        assert_eq!(counted.len(), server.log().len(), "every request is counted");
        server.remove("folder2/stranger");
        server.forget_log();
    }
}

#[test]
fn a_name_is_taken_once() {
    let server = BucketServer::start();
    for (bucket, _) in services(&server) {
        put(&bucket, "x", b"first", true).unwrap();
        put(&bucket, "x", b"other", true).unwrap();
        assert_eq!(get_one(&bucket, "x"), Ok(Some(b"first".to_vec())));
        put(&bucket, "x", b"other", false).unwrap();
        assert_eq!(get_one(&bucket, "x"), Ok(Some(b"other".to_vec())));
        bucket.remove(&["x".to_owned()]).unwrap();
    }
}

#[test]
fn changes_of_many_writers_add_up() {
    const WRITERS: usize = 6;
    const CHANGES: usize = 8;
    let server = BucketServer::start();
    for number in 0..services(&server).len() {
        server.remove("folder/index");
        std::thread::scope(|threads| {
            for writer in 0..WRITERS {
                let server = &server;
                threads.spawn(move || {
                    let (bucket, _) = &services(server)[number];
                    for change in 0..CHANGES {
                        let line = format!("{writer}.{change}\n");
                        update(bucket, "index", &mut |old| {
                            Some([old.unwrap_or_default(), line.clone().into()].concat())
                        })
                        .unwrap();
                    }
                });
            }
        });
        let text = String::from_utf8(server.objects()["folder/index"].clone()).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), WRITERS * CHANGES, "none is lost, none is there twice:\n{text}");
    }
}

/// Sends bytes in the pieces that a reader happens to return.
fn send(bucket: &Bucket, name: &str, bytes: &[u8], stop_at: usize) -> Result<(), BucketError> {
    let mut at = 0;
    bucket.send(name, bytes.len() as u64, &mut |most| {
        let end = bytes.len().min(at + most.min(3_000_000));
        let part = bytes[at..end].to_vec();
        at = end;
        (at <= stop_at).then_some(part)
    })
}

#[test]
fn large_objects_are_sent_in_parts() {
    let server = BucketServer::start();
    let large: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    for (bucket, counted) in services(&server) {
        for length in [0, 1, 8 << 20, (8 << 20) + 1, 20_000_000] {
            send(&bucket, "a/x", &large[..length], usize::MAX).unwrap();
            assert!(server.objects()["folder/a/x"] == large[..length], "{length}");
        }
        assert_eq!(server.open_uploads(), 0);
        let writes =
            counted.lock().unwrap().iter().filter(|request| matches!(request, BucketRequest::Write(_))).count();
        assert_eq!(writes as u64, server.log().iter().filter(|line| line.starts_with('P')).count() as u64);
        server.forget_log();

        // Whoever stops has written nothing.
        send(&bucket, "a/x", &large, 12_000_000).unwrap();
        assert_eq!(server.objects()["folder/a/x"].len(), 20_000_000, "as it was");
        send(&bucket, "a/new", &large, 12_000_000).unwrap();
        send(&bucket, "a/new", &large[..9], 0).unwrap();
        assert!(!server.objects().contains_key("folder/a/new"));
        counted.lock().unwrap().clear();
        server.forget_log();
    }
}

#[test]
fn a_large_object_is_whole_or_not_there_whatever_the_network_does() {
    let server = BucketServer::start();
    server.is_checking();
    let large: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (mut sent, mut refused) = (0, 0);
    for seed in 0..12 {
        for (bucket, _) in services(&server) {
            server.remove("folder/x");
            server.go_wrong(15, seed);
            let done = send(&bucket, "x", &large, usize::MAX);
            server.go_wrong(0, 0);
            match done {
                Ok(()) => sent += 1,
                Err(_) => refused += 1,
            }
            // What is told to be there may be missing, if the server has forgotten it, and is never something else.
            assert!(server.objects().get("folder/x").is_none_or(|there| *there == large));
        }
    }
    assert!(sent > 3 && refused > 0, "{sent} sent, {refused} refused");
}

#[test]
fn many_objects_are_changed_at_once() {
    let server = BucketServer::start();
    let (bucket, counted) = open(&server, "s3://team");
    let names: Vec<String> = (0..100).map(|number| format!("index/{number}")).collect();
    for round in 1..3 {
        let edit = |number: usize, old: Option<Vec<u8>>| Some([old.unwrap_or_default(), vec![number as u8]].concat());
        assert_eq!(bucket.update(&names, &mut { edit }), Ok((round - 1) * 100));
    }
    assert!(names.iter().enumerate().all(|(number, name)| server.objects()[name] == [number as u8; 2]));
    assert_eq!(counted.lock().unwrap().len(), 400);
    server.plan("PUT /team/index/7", 403, "<Code>AccessDenied</Code>", 1);
    let refused = bucket.update(&names, &mut |_, old| old);
    assert_eq!(refused, Err(BucketError::Denied("AccessDenied".to_owned())));
}

#[test]
fn whoever_is_always_too_slow_gives_up() {
    let server = BucketServer::start();
    server.set("index", "0");
    let (bucket, _) = open(&server, "s3://team");
    let mut rounds = 0;
    let error = update(&bucket, "index", &mut |old| {
        rounds += 1;
        // Another one writes meanwhile.
        server.set("index", format!("{rounds}"));
        Some(old.unwrap_or_default())
    });
    assert_eq!(error, Err(BucketError::Other("others change `index` all the time (tried 24 times)".to_owned())));
    assert_eq!((rounds, server.objects()["index"].clone()), (24, b"24".to_vec()));
}

#[test]
fn a_service_without_conditions_is_written_to() {
    let server = BucketServer::start();
    server.is_simple();
    let (bucket, _) = open(&server, "s3://team");
    put(&bucket, "x", b"1", true).unwrap();
    update(&bucket, "x", &mut |old| Some([old.unwrap(), b"2".to_vec()].concat())).unwrap();
    assert_eq!(get_one(&bucket, "x"), Ok(Some(b"12".to_vec())));
    let variables = server.variables();
    let mut variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    variables.push(("AWS_CONDITIONAL_PUT", "disabled"));
    let (bucket, _) = open_with("s3://team", &variables).unwrap();
    put(&bucket, "y", b"1", true).unwrap();
    update(&bucket, "y", &mut |old| Some([old.unwrap(), b"3".to_vec()].concat())).unwrap();
    assert_eq!(get_one(&bucket, "y"), Ok(Some(b"13".to_vec())));
}

#[test]
fn refusals_have_plain_words() {
    let server = BucketServer::start();
    server.set("x", "x");
    let (endpoint, key, secret) = (server.endpoint(), server::KEY.0, server::KEY.1);
    let of = |key: &str, secret: &str, address: &str| {
        let variables =
            [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
        open_with(address, &variables).unwrap().0
    };
    let words = |read: Read| read.unwrap_err().to_string();
    assert_eq!(words(get_one(&of(key, secret, "s3://gone"), "x")), "there is no such bucket");
    let stranger = of("AKIASTRANGER", secret, "s3://team");
    assert_eq!(words(get_one(&stranger, "x")), "the credentials are not accepted (InvalidAccessKeyId)");
    let reader = of(server::READER, secret, "s3://team");
    assert_eq!(get_one(&reader, "x"), Ok(Some(b"x".to_vec())));
    assert_eq!(put(&reader, "y", b"y", true), Err(BucketError::Denied("AccessDenied".to_owned())));
    assert_eq!(reader.remove(&["x".to_owned()]), Err(BucketError::Denied("AccessDenied".to_owned())));
    let mut nothing = |_| panic!("nothing is listed");
    for gone in [of(key, secret, "s3://gone"), google(&server, "gs://gone").0, azure(&server, "az://gone").0] {
        assert_eq!(gone.list("", &mut nothing), Err(BucketError::NoBucket));
        assert_eq!(get_one(&gone, "x"), Err(BucketError::NoBucket));
    }

    let bucket = of(key, secret, "s3://team");
    for (status, body, expected) in [
        (
            301,
            "<Code>PermanentRedirect</Code>",
            "the server answered 301 (PermanentRedirect): is the region right (AWS_REGION)?",
        ),
        (
            400,
            "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>",
            "the bucket is in the region `eu-west-1`: set AWS_REGION",
        ),
        (400, "<Code>ExpiredToken</Code>", "the credentials are not accepted (ExpiredToken)"),
        (403, "<Code>RequestTimeTooSkewed</Code>", "the clock of this machine is wrong (RequestTimeTooSkewed)"),
        (503, "<Code>Slow\x1b[31mDown</Code>", "the server answered 503 (Slow31mDown) (tried 3 times)"),
        (418, "", "the server answered 418"),
    ] {
        server.plan("GET /team/x", status, body, 3);
        assert_eq!(words(get_one(&bucket, "x")), expected);
        server.forget_plans();
    }
    server.plan("GET /team/x", 500, "", 2);
    assert_eq!(get_one(&bucket, "x"), Ok(Some(b"x".to_vec())), "the third attempt succeeds");
    let large = server.endpoint();
    server.set("large", vec![0; (1 << 20) + 1]);
    assert_eq!(words(get_one(&bucket, "large")), "the server sent more bytes than any object has", "{large}");
}

#[test]
fn without_credentials_nothing_is_waited_for() {
    let server = BucketServer::start();
    // A service for credentials that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let metadata = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("AWS_ENDPOINT_URL", server.endpoint()), ("AWS_METADATA_ENDPOINT", metadata)];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (bucket, counted) = open_with("s3://team", &variables).unwrap();
    let names = ["a", "b", "c", "d"].map(|name| (name, None));
    let none = BucketError::NoCredentials("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    assert_eq!(get(&bucket, &names), vec![Err(none.clone()); 4]);
    silent.set_nonblocking(true).unwrap();
    let asked = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(asked, 1, "it is asked once, whatever is read");
    assert_eq!(counted.lock().unwrap().len(), 0, "and the bucket not at all");

    // Said not to be there, it is not asked.
    let variables = [variables.as_slice(), &[("AWS_EC2_METADATA_DISABLED", "true")]].concat();
    let (bucket, _) = open_with("s3://team", &variables).unwrap();
    assert_eq!(get(&bucket, &names[..1]), [Err(none)]);
    assert!(silent.accept().is_err());
}

#[test]
fn a_machine_has_credentials_of_its_own() {
    let (server, metadata) = (BucketServer::start(), BucketServer::start());
    server.set("x", "x");
    metadata.plan("PUT /latest/api/token", 200, "a token", 1);
    metadata.plan("security-credentials/role", 200, &credentials(), 1);
    metadata.plan("security-credentials/", 200, "role", 1);
    let variables = [("AWS_ENDPOINT_URL", server.endpoint()), ("AWS_METADATA_ENDPOINT", metadata.endpoint())];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (bucket, counted) = open_with("s3://team", &variables).unwrap();
    assert_eq!(get(&bucket, &[("x", None), ("x", None)]), vec![Ok(Some(b"x".to_vec())); 2]);
    assert_eq!(*counted.lock().unwrap(), [BucketRequest::Read; 2], "what is asked for credentials is not counted");
    assert_eq!(metadata.log().len(), 3, "{:?}", metadata.log());
}

fn credentials() -> String {
    let (key, secret) = server::KEY;
    format!(
        r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{secret}","Token":"t","Expiration":"2099-01-01T00:00:00Z","Code":"Success"}}"#
    )
}

#[test]
fn a_bucket_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables =
        [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let limits = Limits { idle: Duration::from_millis(300), ..LIMITS };
    let (bucket, counted) = open_within(limits, "s3://team", &variables).unwrap();
    let error = BucketError::Other("no answer in time (tried 3 times)".to_owned());
    assert_eq!(get_one(&bucket, "x"), Err(error.clone()));
    // A body larger than what the system takes in: the connection stalls while it is sent.
    assert_eq!(put(&bucket, "x", &vec![7; 64 << 20], false), Err(error));
    assert_eq!(counted.lock().unwrap().len(), 6);
}

#[test]
fn only_safe_endpoints_are_taken() {
    let of = |name: &str, value: &str| {
        let address = if name.starts_with("AWS") { "s3://team" } else { "gs://team" };
        open_with(address, &[(name, value)]).err().unwrap_or_default()
    };
    for (name, value, word) in [
        ("AWS_ENDPOINT_URL", "http://10.0.0.1:9000", "plain http"),
        ("AWS_ENDPOINT_URL_S3", "http://169.254.169.254", "plain http"),
        ("AWS_ENDPOINT_URL", "https://me:CANARY@minio.example", "AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", "minio", "relative URL"),
        ("AWS_ENDPOINT_URL", "ftp://minio.example", "https"),
        ("GOOGLE_BASE_URL", "http://storage.example", "plain http"),
        ("AWS_ACCESS_KEY_ID", "AKIA", "AWS_"),
    ] {
        let error = of(name, value);
        assert!(error.contains(word) && !error.contains("CANARY"), "{name}={value}: {error}");
    }
    assert_eq!(of("AWS_ENDPOINT_URL", "https://minio.example"), "");
    assert_eq!(of("AWS_ENDPOINT_URL", "http://localhost:9000"), "");
    let error = open_with("az://team", &[]).err().unwrap();
    assert!(error.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{error}");
}
