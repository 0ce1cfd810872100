//! A shared cache behind a web server that drops, delays, corrupts and refuses.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use datac::workspace::PullOptions;

use super::{Team, shared, space};
use crate::space::{Dice, Space, assert_same, ran};

/// A web server for a folder. Of a hundred answers, `faulty` are wrong in some way.
struct Server {
    address: String,
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(folder: &Path, seed: u64, faulty: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (folder, dice) = (folder.to_owned(), Arc::new(Mutex::new(Dice(seed))));
        let (counter, ended) = (asked.clone(), stop.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (folder, dice, counter) = (folder.clone(), dice.clone(), counter.clone());
                // A connection that breaks is the client's to deal with.
                thread::spawn(move || serve(&stream.ok()?, &folder, &dice, &counter, faulty).ok());
            }
        });
        Self { address: format!("http://{address}"), asked, stop }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address.trim_start_matches("http://")).ok();
    }
}

fn serve(
    stream: &TcpStream,
    folder: &Path,
    dice: &Mutex<Dice>,
    counter: &AtomicU64,
    faulty: usize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        counter.fetch_add(1, Ordering::SeqCst);
        let path: PathBuf = folder.join(head[0].split(' ').nth(1).unwrap().trim_start_matches('/'));
        let range =
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let (is_faulty, kind, at) = {
            let mut dice = dice.lock().unwrap();
            (dice.below(100) < faulty, dice.below(7), dice.below(1 << 20))
        };
        let mut out = stream;
        let Ok(whole) = fs::read(&path) else {
            write!(out, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        };
        let (mut status, mut body) = match range.as_ref().and_then(|range| range.split_once('-')) {
            Some((start, end)) => {
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                ("206 Partial Content", whole[start.min(whole.len())..(end + 1).min(whole.len())].to_vec())
            }
            None => ("200 OK", whole.clone()),
        };
        let mut announced = body.len();
        if is_faulty {
            match kind {
                0 => return Ok(()),
                1 => thread::sleep(Duration::from_millis(30)),
                2 => (status, body, announced) = ("503 Service Unavailable", Vec::new(), 0),
                3 if !body.is_empty() => {
                    let at = at % body.len();
                    body[at] ^= 0x20;
                }
                4 => body.truncate(body.len() / 2),
                5 => {
                    body.truncate(body.len() / 2);
                    announced = body.len();
                }
                // Whatever was asked for, all of it.
                _ => (status, announced, body) = ("200 OK", whole.len(), whole),
            }
        }
        write!(out, "HTTP/1.1 {status}\r\ncontent-length: {announced}\r\n\r\n")?;
        out.write_all(&body)?;
        if announced != body.len() {
            return Ok(());
        }
    }
}

#[test]
fn a_served_cache_gives_what_the_folder_does() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let server = Server::start(team.root(), 1, 0);
    let mut second = team.machine(&first);
    second.remote = Some(server.address.clone());
    second.signing = first.signing.clone();
    let report = second.build();
    assert_eq!(ran(&report), "");
    assert_same(&first.outputs(), &second.outputs());
    let shared = shared(&report);
    assert_eq!(shared.requests.reads, server.asked.load(Ordering::SeqCst), "every request is counted");
    assert!(shared.read_only.is_some() && shared.refused.all() == 0, "{shared:?}");
    assert_eq!(second.warnings(), [] as [&str; 0]);
}

#[test]
fn whatever_a_server_does_the_bytes_are_right() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let mut refused = 0;
    for seed in 0..20 {
        let server = Server::start(team.root(), seed, [10, 30, 60, 100][seed as usize % 4]);
        let mut second = team.machine(&first);
        second.remote = Some(server.address.clone());
        let report = second.build();
        assert_same(&first.outputs(), &second.outputs());
        refused += shared(&report).refused.all();
        assert!(second.warnings().iter().all(|text| text.contains("the shared cache")));
    }
    assert!(refused > 0, "some of it was wrong");
}

#[test]
fn a_dead_server_costs_a_warning() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut second = team.machine(&first);
    second.remote = Some(address);
    let report = second.build();
    assert_same(&first.outputs(), &second.outputs());
    assert!(shared(&report).given_up.as_ref().is_some_and(|why| why.contains("cannot connect")), "{report:?}");
    assert_eq!(second.warnings().len(), 1);
}

#[test]
fn a_release_is_pulled_from_a_server_whatever_that_does() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    first.workspace().release("a@1", &[]).unwrap();
    let outputs = first.outputs();
    let (mut refused, mut pulled) = (0, 0);
    for seed in 0..24 {
        let server = Server::start(team.root(), seed, [0, 10, 30, 100][seed as usize % 4]);
        let mut second = team.machine(&Space::new());
        second.remote = Some(server.address.clone());
        match second.workspace().pull("a@1", &PullOptions::default()) {
            Ok(_) => {
                assert_same(&outputs, &second.outputs());
                pulled += 1;
            }
            Err(error) => {
                assert_ne!(seed % 4, 0, "{error}");
                refused += 1;
            }
        }
        for (name, bytes) in second.outputs() {
            assert!(outputs.get(&name) == Some(&bytes), "`{name}` is whole, or not there");
        }
        // What is missing comes with the next one that works.
        let server = Server::start(team.root(), seed, 0);
        second.remote = Some(server.address.clone());
        second.workspace().pull("a@1", &PullOptions::default()).unwrap();
        assert_same(&outputs, &second.outputs());
    }
    assert!(refused > 0 && pulled > 6, "{refused} refused, {pulled} pulled");

    let server = Server::start(team.root(), 1, 0);
    let mut second = team.machine(&first);
    second.remote = Some(server.address.clone());
    second.signing = first.signing.clone();
    second.build();
    let error = second.workspace().release("a@2", &[]).unwrap_err().to_string();
    assert!(error.contains("it is behind a web server"), "{error}");
    let error = second.workspace().releases(None).unwrap_err().to_string();
    assert!(error.contains("cannot be listed"), "{error}");
    let listed = second.workspace().releases(Some("a@1")).unwrap();
    assert_eq!(listed.releases[0].files, Some(outputs.len() as u64));
}
