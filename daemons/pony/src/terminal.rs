//! The user's terminal: asking for a password unseen, and lending it to a guest's serial console.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What leaves a console: Ctrl-].
const LEAVE: u8 = 0x1d;
/// Bytes of input that wait for a guest that does not read; what is typed beyond is lost, as on a real line.
const TYPED_BYTES_MAX: usize = 4096;
/// Bytes moved at once.
const CHUNK_BYTES: usize = 4096;

/// A terminal with changed settings, which it gets back when this goes.
struct Changed<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Changed<'a> {
    fn new(terminal: BorrowedFd<'a>, change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut settings = before.clone();
        change(&mut settings);
        termios::tcsetattr(terminal, SetArg::TCSAFLUSH, &settings)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// Asks for a line; unseen where the terminal can. Where there is no terminal, it is read from standard input
/// without a question.
///
/// # Errors
/// When there is nobody to ask.
pub fn ask(question: &str, unseen: bool) -> io::Result<String> {
    let stdin = io::stdin();
    let is_typed = stdin.is_terminal();
    let hidden = if unseen && is_typed {
        Some(Changed::new(stdin.as_fd(), |settings| settings.local_flags.remove(LocalFlags::ECHO))?)
    } else {
        None
    };
    if is_typed {
        write!(io::stderr().lock(), "{question}: ")?;
    }
    let mut answer = String::new();
    let bytes = stdin.lock().read_line(&mut answer)?;
    if hidden.is_some() {
        writeln!(io::stderr().lock())?;
    }
    match bytes {
        0 => {
            let why = format!(
                "nobody answers `{question}`: type it at a terminal, or give a line on standard input with --password-stdin"
            );
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
        }
        _ => Ok(answer.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// How a console was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// By Ctrl-], or at the end of the input.
    ByUser,
    /// The guest's end closed.
    ByGuest,
}

/// Connects standard input and output with a console, a socket that does not block, until Ctrl-].
///
/// # Errors
/// When one of them breaks.
pub fn attach(console: OwnedFd) -> io::Result<Left> {
    let stdin = io::stdin();
    let raw = if stdin.is_terminal() { Some(Changed::new(stdin.as_fd(), termios::cfmakeraw)?) } else { None };
    let input = File::from(stdin.as_fd().try_clone_to_owned()?);
    let left = pump(input, &mut io::stdout().lock(), File::from(console));
    drop(raw);
    left
}

fn pump(mut input: File, output: &mut impl Write, mut console: File) -> io::Result<Left> {
    let mut typed: Vec<u8> = Vec::new();
    loop {
        let (readable, heard) = wait(&input, &console, !typed.is_empty())?;
        if heard {
            match show(&mut console, output) {
                Ok(true) => {}
                Ok(false) => return Ok(Left::ByGuest),
                Err(error) => return Err(error),
            }
        }
        if readable && !read_typed(&mut input, &mut typed)? {
            send(&mut console, &mut typed)?;
            return Ok(Left::ByUser);
        }
        send(&mut console, &mut typed)?;
    }
}

/// Waits until there is something to do: whether something was typed, and whether the console has something to say.
fn wait(input: &File, console: &File, has_typed: bool) -> io::Result<(bool, bool)> {
    let write = if has_typed { PollFlags::POLLOUT } else { PollFlags::empty() };
    let mut watched = [
        PollFd::new(input.as_fd(), PollFlags::POLLIN),
        PollFd::new(console.as_fd(), PollFlags::POLLIN | write),
    ];
    match poll(&mut watched, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = |watched: &PollFd<'_>| {
        let wanted = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        watched.revents().is_some_and(|events| events.intersects(wanted))
    };
    Ok((ready(&watched[0]), ready(&watched[1])))
}

/// Shows what the console says; false when it has closed.
fn show(console: &mut File, output: &mut impl Write) -> io::Result<bool> {
    let mut chunk = [0; CHUNK_BYTES];
    match console.read(&mut chunk) {
        Ok(0) => return Ok(false),
        Ok(bytes) => output.write_all(&chunk[..bytes]).and_then(|()| output.flush())?,
        Err(error) if is_later(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Takes what was typed; false when the user leaves.
fn read_typed(input: &mut File, typed: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; CHUNK_BYTES];
    let bytes = match input.read(&mut chunk) {
        Err(error) if is_later(&error) => return Ok(true),
        result => result?,
    };
    let leave = chunk[..bytes].iter().position(|byte| *byte == LEAVE);
    let taken = &chunk[..leave.unwrap_or(bytes)];
    let room = TYPED_BYTES_MAX.saturating_sub(typed.len());
    typed.extend_from_slice(&taken[..taken.len().min(room)]);
    Ok(bytes > 0 && leave.is_none())
}

fn send(console: &mut File, typed: &mut Vec<u8>) -> io::Result<()> {
    if typed.is_empty() {
        return Ok(());
    }
    match console.write(typed) {
        Ok(bytes) => drop(typed.drain(..bytes)),
        Err(error) if is_later(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A console whose guest answers every line, with what was typed and shown.
    fn converse(typed: &[u8], guest: impl FnOnce(UnixStream) + Send + 'static) -> (Left, Vec<u8>) {
        let (console, far) = UnixStream::pair().unwrap();
        console.set_nonblocking(true).unwrap();
        let guest = std::thread::spawn(move || guest(far));
        let (mut keys, input) = UnixStream::pair().unwrap();
        keys.write_all(typed).unwrap();
        let mut shown = Vec::new();
        let left =
            pump(File::from(OwnedFd::from(input)), &mut shown, File::from(OwnedFd::from(console))).unwrap();
        guest.join().unwrap();
        (left, shown)
    }

    #[test]
    fn the_guest_hears_what_was_typed_before_leaving() {
        let (left, _) = converse(b"root\n\x1dnot this", |mut guest| {
            let mut heard = Vec::new();
            guest.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, b"root\n");
        });
        assert_eq!(left, Left::ByUser);
    }

    #[test]
    fn what_the_guest_says_is_shown_until_it_closes() {
        let (left, shown) = converse(b"", |mut guest| guest.write_all(&b"login: ".repeat(3000)).unwrap());
        assert_eq!(left, Left::ByGuest);
        assert_eq!(shown, b"login: ".repeat(3000));
    }
}
