//! A libvirtd of the tests' own, in namespaces of its own: nobody else is disturbed, it can be killed, and the
//! machine's own settings (who may open `/dev/kvm`, whether anybody reaps orphans) do not matter.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

/// Runs as the first process of the namespaces, which reaps orphans and takes everybody along when it ends: at
/// the latest when the tests do, since its input then ends. Each line of input is a command, answered by a line.
const SCRIPT: &str = r#"
set -e
dir=$1
mount -t proc proc /proc
mkdir -p $dir/run $dir/lib $dir/cache $dir/log $dir/etc
cp -a /etc/libvirt/. $dir/etc/
rm -rf $dir/etc/qemu/networks/autostart $dir/etc/qemu/autostart
cat > $dir/etc/qemu.conf <<EOF
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
EOF
# Guests move between hosts only that are not the same by this.
echo "host_uuid = \"$(cat /proc/sys/kernel/random/uuid)\"" >> $dir/etc/libvirtd.conf
mkdir -p $dir/etc/hooks
cat > $dir/etc/hooks/qemu <<EOF
#!/bin/sh
while [ "\$2" = prepare ] && [ -e $dir/hold ]; do sleep 0.1; done
EOF
chmod +x $dir/etc/hooks/qemu
mkdir -p $dir/root/var/lib
ln -s $dir/lib $dir/root/var/lib/libvirt
mount --bind $dir/run /run
for part in lib cache log; do
    case $part in lib) of=/var/lib/libvirt;; cache) of=/var/cache/libvirt;; log) of=/var/log/libvirt;; esac
    mkdir -p $of; mount --bind $dir/$part $of
done
mount --bind $dir/etc /etc/libvirt
ip link set lo up
set +e
start() {
    libvirtd > $dir/log/stdout 2>&1 < /dev/null &
    daemon=$!
    for i in $(seq 600); do
        [ -S $dir/run/libvirt/libvirt-sock ] && virsh -c qemu:///system uri > /dev/null 2>&1 && break
        sleep 0.05
    done
}
start; echo ready
while read -r command rest; do
    case $command in
    stop) kill -9 $daemon; wait $daemon 2> /dev/null;;
    start) start;;
    freeze) kill -STOP $daemon;;
    thaw) kill -CONT $daemon;;
    alive) kill -0 $daemon 2> /dev/null;;
    kill) kill -9 "$(cat "$dir/run/libvirt/qemu/$rest.pid")";;
    hang) kill -STOP "$(cat "$dir/run/libvirt/qemu/$rest.pid")";;
    esac
    echo "done $?"
done
"#;

/// A private libvirtd.
pub struct Daemon {
    dir: TempDir,
    pipe: Mutex<Pipe>,
}

struct Pipe {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Daemon {
    /// # Errors
    ///
    /// Why there can be none.
    pub fn new() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("only root can run a libvirtd of its own".into());
        }
        let needed = ["/usr/sbin/libvirtd", "/usr/bin/virsh", "/usr/bin/qemu-system-x86_64"];
        if let Some(missing) = needed.into_iter().find(|file| !Path::new(file).exists()) {
            return Err(format!("there is no {missing}"));
        }
        let dir = tempfile::Builder::new().prefix("pony-lv-").tempdir().map_err(|e| e.to_string())?;
        let flags = ["-m", "-n", "-u", "-i", "-p", "--fork", "--kill-child", "--propagation", "private"];
        let mut child = Command::new("unshare")
            .args(flags)
            .args(["bash", "-c", SCRIPT, "bash"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot unshare: {e}"))?;
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut pipe = Pipe { child, input, output };
        match pipe.line() {
            Some(line) if line == "ready" => Ok(Self { dir, pipe: Mutex::new(pipe) }),
            other => Err(format!("no namespaces to run a libvirtd in: {other:?}")),
        }
    }

    /// One for all tests that run at the same time; it ends with the last of them.
    ///
    /// # Errors
    ///
    /// Why there can be none.
    pub fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(daemon) = shared.upgrade() {
            return Ok(daemon);
        }
        let daemon = Arc::new(Self::new()?);
        *shared = Arc::downgrade(&daemon);
        Ok(daemon)
    }

    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}/run/libvirt/libvirt-sock", self.dir.path().display())
    }

    /// What `/` is for it, as far as guests that move are concerned.
    pub fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    /// A program in its namespaces, where its root is as it sees it; it ends with the thread that starts it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let first = self.first().to_string();
        command
            .args(["-t", &first, "-m", "-n", "-u", "-i", "-p", "setpriv", "--pdeathsig", "KILL"])
            .arg(program);
        command
    }

    /// The first process of its namespaces.
    pub fn first(&self) -> u32 {
        let pid = self.pipe.lock().unwrap().child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Its network namespace.
    pub fn network(&self) -> std::fs::File {
        let pid = self.pipe.lock().unwrap().child.id();
        std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap()
    }

    /// SIGKILL to libvirtd. Guests run on.
    pub fn stop(&self) {
        self.tell("stop");
    }

    pub fn start(&self) {
        self.tell("start");
    }

    /// libvirtd stands still: it answers nobody, and its connections stay open.
    pub fn freeze(&self) {
        self.tell("freeze");
    }

    pub fn thaw(&self) {
        self.tell("thaw");
    }

    /// Whether somebody else killed libvirtd.
    pub fn is_gone(&self) -> bool {
        self.tell("alive") != "done 0"
    }

    /// Guests that are started hang on the way, until told otherwise.
    pub fn hold_starts(&self, hold: bool) {
        let file = self.dir.path().join("hold");
        if hold { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    /// SIGKILL to the emulator of a domain.
    pub fn kill_emulator(&self, domain: &str) {
        assert_eq!(self.tell(&format!("kill {domain}")), "done 0");
    }

    /// The emulator of a domain stands still: it answers nobody, and does not mind being told to end.
    pub fn hang_emulator(&self, domain: &str) {
        assert_eq!(self.tell(&format!("hang {domain}")), "done 0");
    }

    fn tell(&self, command: &str) -> String {
        let mut pipe = self.pipe.lock().unwrap();
        writeln!(pipe.input, "{command}").unwrap();
        pipe.line().expect("the private libvirtd is gone")
    }
}

impl Pipe {
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        Some(line.trim_end().to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pipe) = self.pipe.get_mut() {
            let _ = pipe.child.kill();
            let _ = pipe.child.wait();
        }
    }
}
