//! Asks the admin API of a running proxy, for the command line.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::AdminAddress;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the admin API says to `GET path`: the body of a 200.
///
/// # Errors
/// It cannot be reached; `NotFound` with its own words for any other status.
pub fn ask(address: &AdminAddress, path: &str) -> io::Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let answer = async {
        match address {
            AdminAddress::Tcp(to) => exchange(TcpStream::connect(to).await?, path).await,
            AdminAddress::Unix(to) => exchange(UnixStream::connect(to).await?, path).await,
        }
    };
    let timed = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    let (status, body) = timed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| {
        let advice = "is the proxy running, with `[admin]` in its configuration?";
        io::Error::new(error.kind(), format!("the admin API on {address} does not answer: {error}; {advice}"))
    })?;
    match status {
        StatusCode::OK => Ok(body),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, String::from_utf8_lossy(&body).trim().to_owned())),
    }
}

async fn exchange<S>(stream: S, path: &str) -> io::Result<(StatusCode, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let driven = tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, "ringway").body(Empty::<Bytes>::new());
    let response = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    driven.abort();
    Ok((status, body.to_vec()))
}
