//! The consoles of guests that Sparkle has open here: each a task between its channel and the guest.

use pony_core::channel::{
    Channel, DATA_BYTES_MAX, Heard, KEEPALIVE_MS, Message, Opening, Say, WINDOW_MESSAGES,
};
use pony_host::{Console, Hypervisor};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};
use uuid::Uuid;

/// Consoles that are open at once on a host: their windows together leave its link free for state.
const CONSOLES_MAX: usize = 32;
/// Messages that may wait for a console: its window, and the credits for what it said.
const HEARD_WAITING_MAX: usize = 4 * WINDOW_MESSAGES as usize;
/// Messages of all consoles that may wait for the link; beyond it they wait.
const SAID_WAITING_MAX: usize = 64;
/// How long a driver may take to open one: less than Sparkle waits.
const OPEN_MAX: Duration = Duration::from_secs(8);

/// The consoles that are open.
pub(crate) struct Consoles {
    hypervisor: Arc<dyn Hypervisor>,
    open: HashMap<Uuid, mpsc::Sender<Say>>,
    said: mpsc::Sender<Message>,
}

impl Consoles {
    /// None yet; and where to hear what they say.
    pub(crate) fn new(hypervisor: Arc<dyn Hypervisor>) -> (Self, mpsc::Receiver<Message>) {
        let (said, to_say) = mpsc::channel(SAID_WAITING_MAX);
        (Self { hypervisor, open: HashMap::new(), said }, to_say)
    }

    /// Takes in what Sparkle says; `epoch` is that of the Sparkle which this host obeys, where it knows one. Gives the
    /// answer, where there is one at once.
    pub(crate) fn hear(&mut self, body: &[u8], epoch: Option<u64>) -> Option<Message> {
        let Message { channel, say } =
            Message::decode(body).inspect_err(|error| tracing::warn!("from Sparkle: {error}")).ok()?;
        let refused = match say {
            Say::Open(opening) => self.start(channel, opening, epoch).err()?,
            say => {
                let is_end = matches!(say, Say::Close(_));
                match self.open.get(&channel).map(|console| console.try_send(say)) {
                    Some(Ok(())) => return None,
                    Some(Err(_)) => self.end(channel),
                    None => {}
                }
                if is_end {
                    return None;
                }
                "this console is not open".to_owned()
            }
        };
        Some(Message { channel, say: Say::Close(refused) })
    }

    /// Forgets a console, whose task then ends.
    pub(crate) fn end(&mut self, channel: Uuid) {
        self.open.remove(&channel);
    }

    /// The link has lost messages, or may have.
    pub(crate) fn end_all(&mut self) {
        self.open.clear();
    }

    fn start(&mut self, channel: Uuid, opening: Opening, epoch: Option<u64>) -> Result<(), String> {
        if epoch.is_none_or(|epoch| opening.epoch < epoch) {
            return Err("this host obeys another Sparkle".to_owned());
        }
        if self.open.len() >= CONSOLES_MAX {
            return Err(format!("{CONSOLES_MAX} consoles of this host are open already"));
        }
        let (hear, heard) = mpsc::channel(HEARD_WAITING_MAX);
        self.open.insert(channel, hear);
        let (hypervisor, said) = (Arc::clone(&self.hypervisor), self.said.clone());
        tokio::spawn(async move {
            tracing::info!("console {:?} of instance {} is opened", opening.console, opening.instance);
            let reason = match open(&*hypervisor, opening).await {
                Ok(console) => Talk::new(channel, said.clone(), heard).run(console).await,
                Err(reason) => reason,
            };
            tracing::info!("console {:?} of instance {} ended: {reason}", opening.console, opening.instance);
            // Nobody hears it when this process ends too.
            let _ = said.send(Message { channel, say: Say::Close(reason) }).await;
        });
        Ok(())
    }
}

async fn open(hypervisor: &dyn Hypervisor, opening: Opening) -> Result<Console, String> {
    let opening = hypervisor.console(opening.instance, opening.console);
    match tokio::time::timeout(OPEN_MAX, opening).await {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the hypervisor did not open it within {} s", OPEN_MAX.as_secs())),
    }
}

/// A console and its channel.
struct Talk {
    channel: Uuid,
    end: Channel,
    heard: mpsc::Receiver<Say>,
    said: mpsc::Sender<Message>,
    /// What is to be typed, at most a window of it; of the first the guest may have some already.
    typed: VecDeque<Vec<u8>>,
}

impl Talk {
    fn new(channel: Uuid, said: mpsc::Sender<Message>, heard: mpsc::Receiver<Say>) -> Self {
        Self { channel, end: Channel::default(), heard, said, typed: VecDeque::new() }
    }

    /// Carries bytes until one end closes; says why.
    async fn run(mut self, console: Console) -> String {
        let (mut screen, mut keys) = split(console);
        let mut chunk = vec![0; DATA_BYTES_MAX];
        let period = Duration::from_millis(KEEPALIVE_MS);
        let mut alive = tokio::time::interval_at(Instant::now() + period, period);
        // Before anything else: that it is open.
        let mut say = self.end.credit();
        loop {
            if self.said.send(Message { channel: self.channel, say }).await.is_err() {
                return "this host's agent stops".to_owned();
            }
            say = match self.carry(&mut screen, &mut keys, &mut chunk, &mut alive).await {
                Ok(say) => say,
                Err(reason) => return reason,
            };
        }
    }

    /// Carries bytes until there is something to say to Sparkle, or a reason to end.
    async fn carry(
        &mut self,
        screen: &mut ReadHalf<Console>,
        keys: &mut WriteHalf<Console>,
        chunk: &mut [u8],
        alive: &mut Interval,
    ) -> Result<Say, String> {
        loop {
            let next: &[u8] = self.typed.front().map_or(&[], Vec::as_slice);
            let carried = tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(say) => self.hear(say),
                    None => Err("the link to Sparkle was interrupted".to_owned()),
                },
                shown = screen.read(chunk), if self.end.may_send() => match shown {
                    Ok(bytes @ 1..) => Ok(Some(self.end.send(chunk[..bytes].to_vec()))),
                    Ok(_) => Err("the guest's console closed".to_owned()),
                    Err(error) => Err(format!("the guest's console broke: {error}")),
                },
                typed = keys.write(next), if !next.is_empty() => match typed {
                    Ok(bytes) => Ok(self.typed(bytes)),
                    Err(error) => Err(format!("the guest's console broke: {error}")),
                },
                _ = alive.tick() => self.end.tick().map(Some).map_err(|error| error.to_string()),
            };
            if let Some(say) = carried? {
                return Ok(say);
            }
        }
    }

    fn hear(&mut self, say: Say) -> Result<Option<Say>, String> {
        match self.end.hear(say).map_err(|error| error.to_string())? {
            Heard::Bytes(bytes) if bytes.is_empty() => Ok(Some(self.end.took())),
            Heard::Bytes(bytes) => {
                self.typed.push_back(bytes);
                Ok(None)
            }
            Heard::Nothing => Ok(None),
            Heard::Closed(reason) => Err(reason),
        }
    }

    /// The guest took some of the first that is to be typed.
    fn typed(&mut self, bytes: usize) -> Option<Say> {
        let first = self.typed.front_mut()?;
        first.drain(..bytes.min(first.len()));
        if !first.is_empty() {
            return None;
        }
        self.typed.pop_front();
        Some(self.end.took())
    }
}
