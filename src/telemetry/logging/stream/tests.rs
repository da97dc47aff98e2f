//! Order, whole lines, and what happens when nobody reads.

use std::io;
use std::sync::{Arc, mpsc};

use proptest::prelude::*;

use super::*;

/// A stream that does with each write what it is told.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<(Vec<u8>, Vec<Play>)>>);

#[derive(Debug, Clone, Copy)]
enum Play {
    Take(usize),
    Fail(ErrorKind),
}

impl Played {
    fn then(&self, plays: &[Play]) {
        // The last one is played first.
        self.0.lock().1 = plays.iter().rev().copied().collect();
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().0.clone()).unwrap()
    }
}

impl Write for Played {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut played = self.0.lock();
        let taken = match played.1.pop() {
            Some(Play::Fail(kind)) => return Err(kind.into()),
            Some(Play::Take(most)) => most.min(bytes.len()),
            None => bytes.len(),
        };
        played.0.extend_from_slice(bytes.get(..taken).unwrap());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stream() -> (Stream, Played, IntCounter) {
    let played = Played::default();
    let lost = IntCounter::new("lost", "lost").unwrap();
    let stream = Stream { lost: Some(lost.clone()), ..Stream::new(played.clone()) };
    (stream, played, lost)
}

fn line(text: &str) -> impl FnOnce(&mut Vec<u8>) {
    let text = format!("{text}\n");
    move |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes())
}

#[test]
fn what_is_collected_comes_before_what_is_written_after_it() {
    let (stream, played, _) = stream();
    stream.collect(line("1"));
    stream.collect(line("2"));
    assert_eq!(played.text(), "", "a system call for each would be dear");
    stream.write(b"3\n");
    assert_eq!(played.text(), "1\n2\n3\n");
    stream.collect(line("4"));
    stream.flush();
    stream.write(b"5\n");
    assert_eq!(played.text(), "1\n2\n3\n4\n5\n");
    stream.collect(line("6"));
    stream.try_flush();
    stream.flush();
    assert_eq!(played.text(), "1\n2\n3\n4\n5\n6\n");
}

#[test]
fn a_tick_writes_without_being_asked() {
    let (stream, played, _) = stream();
    std::thread::scope(|scope| {
        let ticked = scope.spawn(|| stream.tick());
        stream.collect(line("1"));
        ticked.join().unwrap();
    });
    assert_eq!(played.text(), "1\n");
}

/// A stream whose reader has stopped.
struct Stalled(mpsc::Sender<()>, mpsc::Receiver<()>, Played);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        self.2.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nobody_who_collects_waits_for_a_stalled_stream_and_memory_is_bounded() {
    let (stuck, is_stuck) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let (_, played, lost) = stream();
    let stream = Stream::new(Stalled(stuck, may_go, played.clone()));
    let stream = Stream { lost: Some(lost.clone()), ..stream };
    let long = "x".repeat(1023);
    let mut collected = 1;
    std::thread::scope(|scope| {
        stream.collect(line("first"));
        scope.spawn(|| stream.tick());
        is_stuck.recv().unwrap();
        while lost.get() < 10 {
            stream.collect(line(&long));
            collected += 1;
        }
        stream.try_flush();
        assert_eq!(stream.collected.lock().len(), BYTES_MAX);
        drop(go);
    });
    stream.flush();
    let text = played.text();
    assert!(text.lines().all(|line| line == "first" || line == long));
    assert_eq!(text.lines().count() as u64 + lost.get(), collected);
    stream.collect(line("later"));
    stream.flush();
    assert!(played.text().ends_with("\nlater\n"));
    assert!(stream.out.lock().lines.capacity() <= 2 * ENOUGH, "it is given back");
}

#[test]
fn what_a_stream_takes_later_is_kept_in_order_up_to_a_bound() {
    let (stream, played, lost) = stream();
    let [later, again] = [ErrorKind::WouldBlock, ErrorKind::Interrupted].map(Play::Fail);
    played.then(&[again, Play::Take(5), later]);
    stream.collect(line("one"));
    stream.write(b"two\n");
    assert_eq!(played.text(), "one\nt");
    played.then(&[later, later]);
    stream.write(b"three\n");
    stream.collect(line("four"));
    stream.flush();
    assert_eq!(played.text(), "one\nt");
    // The log's thread comes back to it, though nothing more is collected.
    stream.tick();
    assert_eq!((played.text().as_str(), lost.get()), ("one\ntwo\nthree\nfour\n", 0));

    let long = format!("{}\n", "x".repeat(65_535));
    played.then(&[later; 200]);
    for _ in 0..100 {
        stream.write(long.as_bytes());
        stream.collect(line("kept or counted"));
    }
    assert!(stream.out.lock().lines.len() < 2 * BYTES_MAX + long.len());
    played.then(&[]);
    stream.flush();
    stream.flush();
    let text = played.text();
    assert!(lost.get() > 50, "{}", lost.get());
    assert_eq!(text.lines().count() as u64 + lost.get(), 4 + 200);
    let whole = |line: &str| line == "kept or counted" || line.len() == 65_535;
    assert!(text.lines().skip(4).all(whole));
}

#[test]
fn a_line_that_is_cut_off_gets_an_end() {
    let (stream, played, lost) = stream();
    let gone = Play::Fail(ErrorKind::BrokenPipe);
    played.then(&[Play::Take(6), gone]);
    stream.collect(line("one"));
    stream.collect(line("two"));
    stream.collect(line("three"));
    stream.flush();
    assert_eq!((played.text().as_str(), lost.get()), ("one\ntw", 2));
    played.then(&[gone]);
    stream.write(b"four\n");
    assert_eq!((played.text().as_str(), lost.get()), ("one\ntw", 3), "no end, no line");
    stream.write(b"five\n");
    stream.write(b"six\n");
    assert_eq!((played.text().as_str(), lost.get()), ("one\ntw\nfive\nsix\n", 3));
}

/// Whoever panics within a line holds its lock.
#[test]
fn a_flush_in_a_panic_waits_for_nobody() {
    let (stream, played, _) = stream();
    let stream = &stream;
    stream.collect(|out| {
        out.extend_from_slice(b"1\n");
        stream.try_flush();
    });
    let held = stream.out.lock();
    stream.try_flush();
    drop(held);
    assert_eq!(played.text(), "");
    stream.try_flush();
    assert_eq!(played.text(), "1\n");
}

#[test]
fn lines_of_many_threads_are_whole_and_in_the_order_of_each() {
    let (stream, played, lost) = stream();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let stream = &stream;
            scope.spawn(move || {
                for number in 0..2_000 {
                    let text = format!("{thread} {number}");
                    match number % 50 {
                        0 => stream.write(format!("{text}\n").as_bytes()),
                        1 => stream.flush(),
                        _ => stream.collect(line(&text)),
                    }
                }
            });
        }
    });
    stream.flush();
    let text = played.text();
    for thread in 0..4 {
        let of = text.lines().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
        let numbers: Vec<u32> = of.map(|number| number.parse().unwrap()).collect();
        let expected: Vec<u32> = (0..2_000).filter(|number| number % 50 != 1).collect();
        assert_eq!(numbers, expected, "{thread}");
    }
    assert_eq!((text.lines().count(), lost.get()), (4 * 1_960, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever a stream does, each line is there once, or counted as lost.
    #[test]
    fn each_line_is_written_or_counted(
        steps in prop::collection::vec(
            (0..3_u8, prop::collection::vec((any::<bool>(), 0..12_usize), 0..4)), 1..40),
    ) {
        let (stream, played, lost) = stream();
        let mut given = Vec::new();
        for (number, (step, plays)) in steps.iter().enumerate() {
            let play = |(fails, most): &(bool, usize)| match (fails, most % 2) {
                (true, 0) => Play::Fail(ErrorKind::StorageFull),
                (true, _) => Play::Fail(ErrorKind::WouldBlock),
                (false, _) => Play::Take(*most),
            };
            played.then(&plays.iter().map(play).collect::<Vec<_>>());
            let text = format!("<{number}>");
            match step {
                0 => stream.collect(line(&text)),
                1 => stream.write(format!("{text}\n").as_bytes()),
                _ => stream.flush(),
            }
            if *step < 2 {
                given.push(text);
            }
        }
        played.then(&[]);
        stream.write(b"<end>\n");
        given.push("<end>".to_owned());
        let text = played.text();
        let whole: Vec<&str> =
            text.lines().filter(|line| line.starts_with('<') && line.ends_with('>')).collect();
        let left: Vec<&String> = given.iter().filter(|line| whole.contains(&line.as_str())).collect();
        prop_assert_eq!(&whole, &left, "each once, in order");
        prop_assert_eq!(whole.len() as u64 + lost.get(), given.len() as u64);
    }
}
