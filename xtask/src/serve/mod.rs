//! `cargo xtask serve`: a small web server for the page, the package and the models.
//!
//! The page needs nothing from it that another static server could not do; it adds what makes life good: ranges,
//! revalidation, and the headers that a careful host would send.

mod answer;
mod site;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::map_response;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

use crate::models::Served;
use site::Site;

/// Where to serve.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct ServeOptions {
    /// Port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Serves the page with a model until the process is ended.
pub(crate) fn serve(options: &ServeOptions, model: Served) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the server")?.block_on(listen(options.port, model))
}

async fn listen(port: u16, model: Served) -> Result<()> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("cannot listen on port {port}; choose another with --port"))?;
    let port = listener.local_addr()?.port();
    let name = &model.name;
    println!("\n  mobilellm is at  http://localhost:{port}/  with the model {name}\n\n  Ctrl+C stops it.");
    let router = Router::new()
        .fallback(answer::answer)
        .layer(CompressionLayer::new().compress_when(is_text))
        .layer(map_response(answer::secured))
        .with_state(Arc::new(Site::new(model)));
    axum::serve(listener, router).await.context("the server ended")
}

/// Weights do not shrink, and a compressed length says nothing of a file's: only texts of the page are worth it.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &axum::http::Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/")) && !headers.contains_key(header::CONTENT_RANGE)
}
