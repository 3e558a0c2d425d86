//! Tasks of one worker and their wakers.
//!
//! A waker is three integers packed into its data pointer (worker 12 bits, slot 26, generation 26), never a real pointer: a
//! late or foreign wake can at worst poll a task once too often. Waking on the worker's own thread appends to a thread-local
//! list; waking from another thread goes through the worker's [`Mailbox`].

use super::driver::Notify;
use super::memory::shrink;
use crate::limits::TASKS_WORTH;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

const SLOT_BITS: u32 = 26;
const GENERATION_BITS: u32 = 26;
const WORKERS: usize = 1 << 12;
const NOBODY: u16 = u16::MAX;
const PANICS_KEPT: usize = 16;

/// A task's name: what a waker carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TaskName {
    worker: u16,
    slot: u32,
    generation: u32,
}

impl TaskName {
    fn pack(self) -> u64 {
        (u64::from(self.worker) << (SLOT_BITS + GENERATION_BITS))
            | (u64::from(self.slot) << GENERATION_BITS)
            | u64::from(self.generation)
    }

    fn unpack(bits: u64) -> Self {
        Self {
            worker: (bits >> (SLOT_BITS + GENERATION_BITS)) as u16,
            slot: (bits >> GENERATION_BITS) as u32 & ((1 << SLOT_BITS) - 1),
            generation: bits as u32 & ((1 << GENERATION_BITS) - 1),
        }
    }

    fn waker(self) -> Waker {
        let raw = RawWaker::new(std::ptr::without_provenance(self.pack() as usize), &VTABLE);
        // SAFETY: the vtable's functions never dereference the data, which is an integer; they are thread-safe (`wake_task`).
        unsafe { Waker::from_raw(raw) }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &VTABLE),
    |data| wake_task(data.addr() as u64),
    |data| wake_task(data.addr() as u64),
    |_| {},
);

thread_local! {
    /// The worker whose turn runs on this thread.
    static CURRENT: Cell<u16> = const { Cell::new(NOBODY) };
    /// Wakes made on this thread for `CURRENT`, taken by its next turn.
    static WOKEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn wake_task(bits: u64) {
    let worker = TaskName::unpack(bits).worker;
    // A thread that is ending has no thread-locals any more: then the mailbox serves, as for any other thread.
    let local = CURRENT.try_with(|c| c.get() == worker).unwrap_or(false);
    if local && WOKEN.try_with(|w| w.borrow_mut().push(bits)).is_ok() {
        return;
    }
    let mailbox = mailboxes().get(worker as usize).cloned().flatten();
    if let Some(mailbox) = mailbox {
        mailbox.post(bits);
    }
}

static MAILBOXES: RwLock<Vec<Option<Arc<Mailbox>>>> = RwLock::new(Vec::new());

fn mailboxes() -> std::sync::RwLockReadGuard<'static, Vec<Option<Arc<Mailbox>>>> {
    MAILBOXES.read().unwrap_or_else(PoisonError::into_inner)
}

/// What other threads tell a worker: tasks to wake.
pub struct Mailbox {
    worker: u64,
    wakes: Mutex<Vec<u64>>,
    sleeping: AtomicBool,
    notify: Notify,
}

impl Mailbox {
    fn post(&self, bits: u64) {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(bits);
        self.rouse();
    }

    /// Makes the worker's loop turn once, so that it looks at what was changed beside the mailbox.
    pub fn nudge(&self) {
        self.post(u64::MAX >> 12 | self.worker << (SLOT_BITS + GENERATION_BITS)); // no task has this name
    }

    /// Wakes the worker if it sleeps or is about to: the fence pairs with the one in `fall_asleep`, so that either the
    /// sender sees `sleeping` or the sleeper sees what was sent.
    fn rouse(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::AcqRel) {
            (self.notify)();
        }
    }

    /// Announces sleep; false if something arrived meanwhile and there must be none.
    fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        let quiet = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !quiet {
            self.sleeping.store(false, Ordering::Release);
        }
        quiet
    }

    fn awake(&self) {
        self.sleeping.store(false, Ordering::Release);
    }

    fn take(&self, into: &mut Vec<u64>) {
        into.append(&mut self.wakes.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Task {
    generation: u32,
    queued: bool,
    /// `None` while it is being polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// The tasks of one worker. Everything happens on its thread.
pub struct Executor {
    worker: u16,
    mailbox: Arc<Mailbox>,
    tasks: RefCell<Slab<Task>>,
    ready: RefCell<VecDeque<usize>>,
    scratch: RefCell<Vec<u64>>,
    next_generation: Cell<u32>,
    /// The most tasks since the last look, and the most for which memory may be held.
    peak: Cell<usize>,
    held: Cell<usize>,
    panics: Cell<u64>,
    /// What the latest of them said, until somebody takes it; at most [`PANICS_KEPT`].
    panic_messages: RefCell<Vec<String>>,
}

impl Executor {
    /// An executor whose sleeping thread `notify` wakes. Panics if more than 4,096 exist at a time: a bug, as workers are bounded.
    pub fn new(notify: Notify) -> Self {
        let mut all = MAILBOXES.write().unwrap_or_else(PoisonError::into_inner);
        let worker = all.iter().position(Option::is_none).unwrap_or_else(|| {
            all.push(None);
            all.len() - 1
        });
        assert!(worker < WORKERS, "a waker names at most {WORKERS} workers");
        let (wakes, sleeping) = (Mutex::default(), AtomicBool::new(false));
        let mailbox = Arc::new(Mailbox { worker: worker as u64, wakes, sleeping, notify });
        all[worker] = Some(mailbox.clone());
        Self {
            worker: worker as u16,
            mailbox,
            tasks: RefCell::default(),
            ready: RefCell::default(),
            scratch: RefCell::default(),
            next_generation: Cell::new(0),
            peak: Cell::new(0),
            held: Cell::new(0),
            panics: Cell::new(0),
            panic_messages: RefCell::default(),
        }
    }

    /// The door for other threads.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        self.mailbox.clone()
    }

    /// Adds a task; it is polled in this turn or the next.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let generation = self.next_generation.get() & ((1 << GENERATION_BITS) - 1);
        self.next_generation.set(generation + 1);
        let slot = self.tasks.borrow_mut().insert(Task { generation, queued: true, future: Some(Box::pin(future)) });
        self.peak.set(self.peak.get().max(self.len()));
        assert!(slot < 1 << SLOT_BITS, "a waker names at most 2^26 tasks");
        self.ready.borrow_mut().push_back(slot);
    }

    /// Tasks alive.
    pub fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// No task is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees the tables' unused end if a crowd has gone, and did not come back since the last look; whether it has.
    pub(super) fn shrink(&self) -> bool {
        let peak = self.peak.replace(self.len());
        let gone = self.held.get() >= peak + TASKS_WORTH;
        self.held.set(if gone { peak } else { self.held.get().max(peak) });
        if gone {
            shrink(&mut self.tasks.borrow_mut());
            self.scratch.borrow_mut().shrink_to_fit();
            WOKEN.with_borrow_mut(Vec::shrink_to_fit);
            self.ready.borrow_mut().shrink_to_fit();
        }
        gone
    }

    /// Tasks that panicked since the start.
    pub fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// What panicking tasks said since the last call.
    pub fn take_panics(&self) -> Vec<String> {
        self.panic_messages.take()
    }

    fn count_panic(&self, panic: &(dyn std::any::Any + Send)) {
        self.panics.set(self.panics.get() + 1);
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let mut kept = self.panic_messages.borrow_mut();
        if kept.len() < PANICS_KEPT {
            kept.push(text);
        }
    }

    /// This thread works for this executor from now on.
    pub fn enter(&self) {
        CURRENT.set(self.worker);
    }

    /// Queues every task: for news that concerns them all, such as a drain.
    pub fn wake_all(&self) {
        let mut ready = self.ready.borrow_mut();
        for (slot, task) in self.tasks.borrow_mut().iter_mut() {
            if !task.queued {
                task.queued = true;
                ready.push_back(slot);
            }
        }
    }

    /// Moves wakes, local and from other threads, to the ready queue; true if any task is ready or there was any mail.
    pub fn gather(&self) -> bool {
        let mut scratch = self.scratch.borrow_mut();
        WOKEN.with_borrow_mut(|woken| scratch.append(woken));
        let local = scratch.len();
        self.mailbox.take(&mut scratch);
        let mail = scratch.len() > local;
        let mut tasks = self.tasks.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        for bits in scratch.drain(..) {
            let name = TaskName::unpack(bits);
            if name.worker != self.worker {
                // Left over from another executor that used this thread before.
                wake_task(bits);
                continue;
            }
            if let Some(task) = tasks.get_mut(name.slot as usize)
                && task.generation == name.generation
                && !task.queued
            {
                task.queued = true;
                ready.push_back(name.slot as usize);
            }
        }
        mail || !ready.is_empty()
    }

    /// Announces sleep to other threads; false if there must be none.
    pub fn fall_asleep(&self) -> bool {
        self.mailbox.fall_asleep()
    }

    /// Takes the announcement back.
    pub fn awake(&self) {
        self.mailbox.awake();
    }

    /// Polls up to `most` ready tasks, each once. A panic ends its task only; it is counted.
    pub fn run(&self, most: usize) {
        for _ in 0..most {
            let Some(slot) = self.ready.borrow_mut().pop_front() else { return };
            let (mut future, name) = {
                let mut tasks = self.tasks.borrow_mut();
                let Some(task) = tasks.get_mut(slot) else { continue };
                task.queued = false;
                let Some(future) = task.future.take() else { continue };
                (future, TaskName { worker: self.worker, slot: slot as u32, generation: task.generation })
            };
            let waker = name.waker();
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
            match polled {
                Ok(Poll::Pending) => self.tasks.borrow_mut()[slot].future = Some(future),
                Ok(Poll::Ready(())) => self.end(slot, future),
                Err(panic) => {
                    self.count_panic(&*panic);
                    self.end(slot, future);
                }
            }
        }
    }

    /// Drops a task's future, then frees its slot. The drop runs outside any borrow, for it may wake and spawn; it may even panic.
    fn end(&self, slot: usize, future: Pin<Box<dyn Future<Output = ()>>>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(future))) {
            self.count_panic(&*panic);
        }
        self.tasks.borrow_mut().remove(slot);
    }

    /// Drops every task, for the end of the worker.
    pub fn clear(&self) {
        loop {
            let next = {
                let mut tasks = self.tasks.borrow_mut();
                let slot = tasks.iter().find(|(_, task)| task.future.is_some()).map(|(slot, _)| slot);
                slot.and_then(|slot| tasks[slot].future.take().map(|future| (slot, future)))
            };
            let Some((slot, future)) = next else { return };
            self.end(slot, future);
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.clear();
        MAILBOXES.write().unwrap_or_else(PoisonError::into_inner)[self.worker as usize] = None;
        if CURRENT.try_with(Cell::get) == Ok(self.worker) {
            CURRENT.set(NOBODY);
        }
    }
}

/// Lets the other tasks run: ready again in the next turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::sync::atomic::AtomicUsize;

    fn executor() -> (Executor, Arc<AtomicUsize>) {
        let notified = Arc::new(AtomicUsize::new(0));
        let count = notified.clone();
        (Executor::new(Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst))), notified)
    }

    fn turn(executor: &Executor) {
        executor.enter();
        executor.gather();
        executor.run(100);
    }

    #[test]
    fn names_survive_packing() {
        for (worker, slot, generation) in [(0, 0, 0), (4095, (1 << 26) - 1, (1 << 26) - 1), (7, 12345, 678_910)] {
            let name = TaskName { worker, slot, generation };
            assert_eq!(TaskName::unpack(name.pack()), name);
        }
    }

    #[test]
    fn a_task_runs_and_yields_and_ends() {
        let (executor, _) = executor();
        let steps = Rc::new(Cell::new(0));
        let seen = steps.clone();
        executor.spawn(async move {
            for _ in 0..3 {
                seen.set(seen.get() + 1);
                yield_now().await;
            }
        });
        for step in 1..=3 {
            turn(&executor);
            assert_eq!(steps.get(), step);
        }
        turn(&executor);
        assert!(executor.is_empty());
    }

    #[test]
    fn a_panic_ends_its_task_only() {
        let (executor, _) = executor();
        let alive = Rc::new(Cell::new(false));
        let seen = alive.clone();
        struct PanicsInDrop;
        impl Drop for PanicsInDrop {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    panic!("in drop");
                }
            }
        }
        executor.spawn(async { panic!("in poll") });
        executor.spawn(async {
            let held = PanicsInDrop;
            std::future::pending::<()>().await;
            drop(held);
        });
        executor.spawn(async move {
            yield_now().await;
            seen.set(true);
        });
        turn(&executor);
        turn(&executor);
        assert!(alive.get());
        assert_eq!((executor.panics(), executor.len()), (1, 1));
        executor.clear();
        assert_eq!((executor.panics(), executor.len()), (2, 0));
    }

    #[test]
    fn a_late_waker_is_harmless() {
        let (executor, _) = executor();
        let kept = Rc::new(RefCell::new(None::<Waker>));
        let keep = kept.clone();
        executor.spawn(std::future::poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        turn(&executor);
        let polls = Rc::new(Cell::new(0));
        let seen = polls.clone();
        executor.spawn(std::future::poll_fn(move |_| {
            seen.set(seen.get() + 1);
            Poll::<()>::Pending
        }));
        turn(&executor);
        kept.borrow().as_ref().unwrap().wake_by_ref(); // the slot is the same, the generation is not
        turn(&executor);
        assert_eq!(polls.get(), 1);
        drop(executor);
        kept.borrow().as_ref().unwrap().wake_by_ref(); // the worker is gone
    }

    #[test]
    fn a_waker_used_from_another_thread_is_sound() {
        let (executor, notified) = executor();
        let (send, receive) = std::sync::mpsc::channel::<Waker>();
        let flag = Arc::new(AtomicBool::new(false));
        let seen = flag.clone();
        let done = Rc::new(Cell::new(false));
        let finished = done.clone();
        executor.spawn(async move {
            let mut sent = false;
            std::future::poll_fn(|cx| {
                if seen.load(Ordering::Acquire) {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut sent, true) {
                    send.send(cx.waker().clone()).unwrap();
                }
                Poll::Pending
            })
            .await;
            finished.set(true);
        });
        turn(&executor);
        assert!(executor.fall_asleep());
        let thread = std::thread::spawn(move || {
            let waker = receive.recv().unwrap();
            flag.store(true, Ordering::Release);
            waker.wake();
        });
        thread.join().unwrap();
        assert_eq!(notified.load(Ordering::SeqCst), 1, "a sleeping worker is notified once");
        assert!(!executor.fall_asleep(), "mail is waiting: no sleep");
        executor.awake();
        turn(&executor);
        assert!(done.get());
    }

    #[test]
    fn many_threads_wake_while_the_worker_falls_asleep() {
        // Neither a wake nor a notification may be lost: whoever posts sees `sleeping`, or the sleeper sees the mail.
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        let (executor, notified) = executor();
        let wakers = Rc::new(RefCell::new(None::<Waker>));
        let keep = wakers.clone();
        let polls = Rc::new(Cell::new(0usize));
        let counted = polls.clone();
        executor.spawn(std::future::poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        }));
        turn(&executor);
        let waker = wakers.borrow().clone().unwrap();
        let go = Arc::new(AtomicUsize::new(0));
        let going = go.clone();
        let thread = std::thread::spawn(move || {
            for round in 1..=rounds {
                while going.load(Ordering::Acquire) < round {
                    std::hint::spin_loop();
                    std::thread::yield_now();
                }
                waker.wake_by_ref();
            }
        });
        for round in 1..=rounds {
            let before = notified.load(Ordering::SeqCst);
            go.store(round, Ordering::Release);
            if executor.fall_asleep() {
                while notified.load(Ordering::SeqCst) == before {
                    std::thread::yield_now();
                }
            }
            executor.awake();
            let had = polls.get();
            while polls.get() == had {
                turn(&executor);
                std::thread::yield_now();
            }
        }
        thread.join().unwrap();
    }
}
