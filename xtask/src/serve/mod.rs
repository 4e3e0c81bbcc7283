//! `cargo xtask serve`: a small web server for the page, the package and the models.
//!
//! The page needs nothing from it that another static server could not do; it adds what makes life good: ranges,
//! revalidation, and the headers that a careful host would send.

mod http;
mod mime;
mod range;
mod respond;
mod site;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

use crate::models::Served;
use site::Site;

/// What to serve, and where.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct ServeOptions {
    /// Port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Serves the page with a model until the process is ended, a thread for each connection.
pub(crate) fn serve(options: &ServeOptions, model: Served) -> Result<()> {
    let name = model.name.clone();
    let site = Arc::new(Site::new(model));
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = TcpListener::bind(wanted)
        .with_context(|| format!("cannot listen on port {}; choose another with --port", options.port))?;
    let port = listener.local_addr()?.port();
    println!("\n  mobilellm is at  http://localhost:{port}/  with the model {name}\n\n  Ctrl+C stops it.");
    for stream in listener.incoming() {
        // A client that gave up while it was waiting is its own affair.
        let Ok(stream) = stream else { continue };
        let site = site.clone();
        thread::spawn(move || respond::respond(&site, &stream));
    }
    Ok(())
}
