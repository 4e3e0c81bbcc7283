//! Reading a buffer back: a future that works on the event loop of a browser and on a thread that must poll.

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
struct Mapped<'a> {
    gpu: &'a Gpu,
    buffer: &'a Buffer,
    shared: Arc<Mutex<Shared>>,
}

impl<'a> Mapped<'a> {
    fn new(gpu: &'a Gpu, buffer: &'a Buffer, bytes: u64) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let callback = shared.clone();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            let mut shared = callback.lock().unwrap_or_else(PoisonError::into_inner);
            shared.result = Some(result);
            if let Some(waker) = shared.waker.take() {
                waker.wake();
            }
        });
        Self { gpu, buffer, shared }
    }

    fn take(&self, waker: &Waker) -> Option<Result<(), wgpu::BufferAsyncError>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.waker = Some(waker.clone());
        shared.result.take()
    }
}

impl Future for Mapped<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut result = self.take(cx.waker());
        if result.is_none() {
            // Natively the callback runs only inside a poll of the device; in a browser this does nothing.
            if let Err(error) = self.gpu.wait() {
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

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        self.buffer.unmap();
    }
}

/// Reads the first `values` f32 of a mappable buffer.
pub(super) async fn read(gpu: &Gpu, buffer: &Buffer, values: usize) -> Result<Vec<f32>> {
    let bytes = 4 * values as u64;
    let mut mapped = Mapped::new(gpu, buffer, bytes);
    (&mut mapped).await?;
    gpu.check()?;
    let view = buffer.get_mapped_range(0..bytes).map_err(|error| {
        Error::device(format!("reading a buffer failed ({error})"), "Load the model again")
    })?;
    Ok(bytemuck::pod_collect_to_vec(&view))
}
