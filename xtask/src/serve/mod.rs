//! `cargo xtask serve`: a small web server for the page, the package and the models.
//!
//! The page needs nothing from it that another static server could not do; it adds what makes life good: ranges,
//! revalidation, and the headers that a careful host would send.

mod mime;
mod range;
mod respond;
mod site;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use tiny_http::Server;

use site::Site;

/// Requests answered at the same time; a browser opens six connections to a host.
const THREADS: usize = 12;

/// What to serve, and where.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct Options {
    /// Port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Serve this checkpoint as the default model
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

/// Serves until the process is ended.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let running = start(options)?;
    println!("\n  mobilellm is at  http://localhost:{}/\n\n  Ctrl+C stops it.", running.address.port());
    for worker in running.workers {
        worker.join().map_err(|_| anyhow!("a server thread panicked"))?;
    }
    Ok(())
}

/// A server that answers in the background.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    workers: Vec<thread::JoinHandle<()>>,
}

/// Starts to answer requests.
pub(crate) fn start(options: &Options) -> Result<Running> {
    let site = Arc::new(Site::new(options.model.as_deref())?);
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let server = Server::http(wanted)
        .map_err(|error| anyhow!(error))
        .with_context(|| format!("cannot listen on port {}; choose another with --port", options.port))?;
    let address = server.server_addr().to_ip().context("the server has no address")?;
    let server = Arc::new(server);
    let workers = (0..THREADS)
        .map(|_| {
            let (server, site) = (server.clone(), site.clone());
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    respond::respond(&site, request);
                }
            })
        })
        .collect();
    Ok(Running { address, workers })
}
