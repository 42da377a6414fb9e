//! What carries checkpoints from `xl remus` to `xl migrate-receive`, in the place of ssh: a TCP connection with
//! a heartbeat in both directions, so that a box that is silent is taken for dead. libxl itself has no failure
//! detector: it waits for the end of the stream, which a dead host never sends.
//!
//! On the wire each piece of the stream has its length before it, as four bytes in network order; a length of
//! nought is a heartbeat.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// From one heartbeat to the next.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// So long a silence of the primary is its death, once the backup is [`ARMED`].
pub const SILENCE: Duration = Duration::from_secs(1);
/// So long a silence is a death otherwise. Under emulation a box that copies a whole domU may have less time
/// than the other one.
const PATIENCE: Duration = Duration::from_secs(8);
/// What tells the backup's end that the first copy is over, and that from now on each second counts.
pub const ARMED: &str = "/run/xen-lab/armed";
/// How often a silence is measured.
const LOOK: Duration = Duration::from_millis(100);
/// Longest piece of the stream.
const PIECE: usize = 64 * 1024;

/// The primary's end, which `xl remus` starts: standard input goes to the backup, what comes back to standard
/// output. Ends when either is gone.
///
/// # Errors
/// When nobody listens there.
pub fn send(to: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(to)?;
    relay(&stream, io::stdin(), io::stdout(), || PATIENCE)
}

/// The backup's end: takes one connection, and starts a command with the stream as its standard input and
/// output. Ends with the command.
///
/// # Errors
/// When the port is taken, or the command can't be started.
pub fn receive(own: SocketAddr, command: &[String]) -> io::Result<()> {
    let [program, arguments @ ..] = command else {
        return Err(io::Error::other("no command"));
    };
    let (stream, _) = TcpListener::bind(own)?.accept()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    // Its end closes the command's standard input: for `xl migrate-receive` the primary is dead then.
    let armed = Path::new(ARMED);
    let patience = || if armed.exists() { SILENCE } else { PATIENCE };
    let ended = relay(&stream, output, input, patience);
    eprintln!("lab-xen: the primary is gone: {ended:?}");
    // If it is not, it learns that it has no backup any more.
    let _ = stream.shutdown(Shutdown::Both);
    child.wait()?;
    Ok(())
}

/// Carries `input` away and what comes to `output`, until the other end closes or is silent for too long.
fn relay(
    stream: &TcpStream,
    input: impl Read + Send + 'static,
    output: impl Write,
    patience: impl Fn() -> Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    let writer = Arc::new(Mutex::new(stream.try_clone()?));
    let beating = Arc::clone(&writer);
    thread::spawn(move || {
        while put(&beating, &[]).is_ok() {
            thread::sleep(HEARTBEAT);
        }
    });
    thread::spawn(move || {
        // Whatever ends it, the other end must learn of it.
        let _ = carry(input, &writer);
        let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writer.shutdown(Shutdown::Write);
    });
    deliver(stream, output, patience)
}

fn carry(mut input: impl Read, writer: &Mutex<TcpStream>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece)? {
            0 => return Ok(()),
            length => put(writer, piece.get(..length).unwrap_or_default())?,
        }
    }
}

fn put(writer: &Mutex<TcpStream>, piece: &[u8]) -> io::Result<()> {
    let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), piece].concat();
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    writer.write_all(&framed)
}

fn deliver(
    mut stream: impl Read,
    mut output: impl Write,
    patience: impl Fn() -> Duration,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let mut length = [0; 4];
        fill(&mut stream, &mut length, &patience)?;
        let length = u32::from_be_bytes(length) as usize;
        let piece = piece
            .get_mut(..length)
            .ok_or_else(|| io::Error::other("a piece that is too long"))?;
        fill(&mut stream, piece, &patience)?;
        output.write_all(piece)?;
        output.flush()?;
    }
}

/// Reads as many bytes, as long as no silence is longer than patience.
fn fill(
    stream: &mut impl Read,
    mut bytes: &mut [u8],
    patience: impl Fn() -> Duration,
) -> io::Result<()> {
    let mut last = Instant::now();
    while !bytes.is_empty() {
        match stream.read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                bytes = &mut bytes[length..];
                last = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if last.elapsed() >= patience() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends of a connection on this machine.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn what_goes_in_comes_out() {
        let (near, far) = pair();
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let input = io::Cursor::new(sent.clone());
        thread::spawn(move || relay(&near, input, io::sink(), || SILENCE));
        let mut came = Vec::new();
        let ended = relay(&far, io::empty().chain(Endless), &mut came, || SILENCE);
        assert!(ended.is_err());
        assert_eq!(came, sent);
    }

    #[test]
    fn who_says_nothing_but_lives_is_not_dead() {
        let (near, far) = pair();
        thread::spawn(move || relay(&near, Endless, io::sink(), || SILENCE));
        let begin = Instant::now();
        let living = thread::spawn(move || relay(&far, Endless, io::sink(), || SILENCE));
        thread::sleep(SILENCE * 2);
        assert!(!living.is_finished(), "after {:?}", begin.elapsed());
    }

    #[test]
    fn who_is_silent_is_dead() {
        let (_near, far) = pair();
        let begin = Instant::now();
        assert!(relay(&far, Endless, io::sink(), || SILENCE).is_err());
        assert!(begin.elapsed() >= SILENCE, "after {:?}", begin.elapsed());
    }

    /// A stream that stays open and brings nothing.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            loop {
                thread::park();
            }
        }
    }
}
