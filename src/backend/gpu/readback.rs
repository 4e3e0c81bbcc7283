//! Reading a buffer back: a future that works on the event loop of a browser and on a thread that must poll.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::buffer::Buffer;
use super::device::Gpu;
use crate::error::{Error, Result};

/// What the map callback leaves for the future.
#[derive(Default)]
struct Shared {
    result: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

/// Resolves once the first `bytes` of a buffer are readable. Dropping it before that gives the buffer back
/// unmapped, so that an abandoned forward pass leaves nothing behind.
struct Mapped {
    gpu: Gpu,
    buffer: wgpu::Buffer,
    bytes: u64,
    /// What to wait for; everything where it is not known.
    submission: Option<wgpu::SubmissionIndex>,
    shared: Arc<Mutex<Shared>>,
}

impl Mapped {
    fn new(gpu: &Gpu, buffer: &Buffer, bytes: u64, submission: Option<wgpu::SubmissionIndex>) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let callback = shared.clone();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            let mut shared = callback.lock().unwrap_or_else(PoisonError::into_inner);
            shared.result = Some(result);
            if let Some(waker) = shared.waker.take() {
                waker.wake();
            }
        });
        Self { gpu: gpu.clone(), buffer: (**buffer).clone(), bytes, submission, shared }
    }

    fn take(&self, waker: &Waker) -> Option<Result<(), wgpu::BufferAsyncError>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.waker = Some(waker.clone());
        shared.result.take()
    }

    /// The values, once it has resolved.
    fn values<T: bytemuck::Pod>(&self) -> Result<Vec<T>> {
        self.gpu.check()?;
        self.gpu.count(|counts| {
            counts.readbacks += 1;
            counts.bytes_read += self.bytes;
        });
        let view = self.buffer.get_mapped_range(0..self.bytes).map_err(|error| {
            Error::device(format!("reading a buffer failed ({error})"), "Load the model again")
        })?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}

impl Future for Mapped {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut result = self.take(cx.waker());
        if result.is_none() {
            // Natively the callback runs only inside a poll of the device; in a browser this does nothing.
            if let Err(error) = self.gpu.wait_for(self.submission.clone()) {
                return Poll::Ready(Err(error));
            }
            result = self.take(cx.waker());
        }
        match result {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(Ok(())),
            // Why is known to whoever reported the error that made the mapping fail.
            Some(Err(error)) => Poll::Ready(Err(self.gpu.fault().unwrap_or_else(|| {
                Error::device(format!("reading a buffer failed ({error})"), "Load the model again")
            }))),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.buffer.unmap();
    }
}

/// Reads the first `values` f32 of a mappable buffer.
pub(super) async fn read(gpu: &Gpu, buffer: &Buffer, values: usize) -> Result<Vec<f32>> {
    let mut mapped = Mapped::new(gpu, buffer, 4 * values as u64, None);
    (&mut mapped).await?;
    mapped.values()
}

/// Small buffers that take turns, so that results are read while the device goes on.
pub(super) struct Readbacks {
    free: Vec<Buffer>,
    flying: VecDeque<Flight>,
}

/// What was submitted and not read yet.
struct Flight {
    // Dropped first: a buffer has to be unmapped before it is destroyed.
    mapped: Mapped,
    buffer: Buffer,
    /// Words that it copies.
    count: usize,
    /// Positions that it fills.
    positions: usize,
}

impl Readbacks {
    /// This many buffers of so many bytes.
    pub(super) fn new(gpu: &Gpu, count: usize, bytes: u64) -> Result<Self> {
        let free = (0..count).map(|_| gpu.staging("tokens for reading", bytes)).collect::<Result<_>>()?;
        Ok(Self { free, flying: VecDeque::new() })
    }

    /// Submits that were not read yet.
    pub(super) fn len(&self) -> usize {
        self.flying.len()
    }

    /// Words that are still to be read.
    pub(super) fn words(&self) -> usize {
        self.flying.iter().map(|flight| flight.count).sum()
    }

    /// Positions that those submits fill.
    pub(super) fn positions(&self) -> usize {
        self.flying.iter().map(|flight| flight.positions).sum()
    }

    /// A buffer to copy results to, to be given back by [`Readbacks::push`].
    pub(super) fn take(&mut self) -> Result<Buffer> {
        self.free.pop().ok_or_else(|| {
            Error::device(
                "more was submitted than can be read",
                "This is a bug in mobilellm, please report it",
            )
        })
    }

    /// Begins to read `count` words that `submission` copies to `buffer`; a single one, and to forget it, where `count` is 0.
    pub(super) fn push(
        &mut self,
        gpu: &Gpu,
        buffer: Buffer,
        count: usize,
        positions: usize,
        submission: wgpu::SubmissionIndex,
    ) {
        let mapped = Mapped::new(gpu, &buffer, 4 * count.max(1) as u64, Some(submission));
        self.flying.push_back(Flight { mapped, buffer, count, positions });
    }

    /// The words of the oldest submit, and how many positions it filled. Whoever stops waiting can ask again.
    pub(super) async fn next(&mut self) -> Result<(Vec<u32>, usize)> {
        let Some(flight) = self.flying.front_mut() else { return Ok((Vec::new(), 0)) };
        let result = (&mut flight.mapped).await.and_then(|()| flight.mapped.values());
        let (count, positions) = (flight.count, flight.positions);
        if let Some(Flight { buffer, mapped, .. }) = self.flying.pop_front() {
            drop(mapped);
            self.free.push(buffer);
        }
        let mut words: Vec<u32> = result?;
        words.truncate(count);
        Ok((words, positions))
    }

    /// Forgets what was submitted; the device still does it.
    pub(super) fn discard(&mut self) {
        self.free.extend(self.flying.drain(..).map(|flight| flight.buffer));
    }
}
