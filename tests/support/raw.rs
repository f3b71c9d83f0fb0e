//! A connection of one's own, for what no client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::Server;

pub struct Raw(pub TcpStream);

pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub json: Value,
}

impl Raw {
    pub fn connect(server: &Server) -> Raw {
        Raw::open(server.url())
    }

    pub fn open(url: &str) -> Raw {
        let address = url.strip_prefix("http://").expect("a URL");
        let stream = TcpStream::connect(address).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a time limit");
        Raw(stream)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("it is taken");
    }

    /// The head of a request with a body of so many bytes.
    pub fn begin(&mut self, path: &str, length: usize) {
        self.send(head(path, length));
    }

    /// Head and body in one piece: between two a busy machine may take longer than a server waits for a body.
    pub fn ask(&mut self, path: &str, body: &str) -> RawAnswer {
        self.send(head(path, body.len()) + body);
        self.answer()
    }

    pub fn answer(&mut self) -> RawAnswer {
        let mut bytes = Vec::new();
        let head = loop {
            let mut byte = [0];
            let read = self.0.read(&mut byte).expect("an answer");
            assert_eq!(read, 1, "the connection was closed without an answer");
            bytes.push(byte[0]);
            if bytes.ends_with(b"\r\n\r\n") {
                break String::from_utf8(bytes).expect("text").to_lowercase();
            }
        };
        let mut answer = RawAnswer {
            status: head[9..12].parse().expect("a status"),
            head,
            json: Value::Null,
        };
        let length = answer.header("content-length").expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("the body");
        answer.json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        answer
    }

    /// All that comes until the server closes the connection, which it must: silence is no answer.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut bytes) {
            assert_eq!(
                error.kind(),
                ErrorKind::ConnectionReset,
                "it is left open after {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the server has closed the connection, or does so.
    pub fn closed(&mut self) -> bool {
        let mut rest = [0; 64];
        match self.0.read(&mut rest) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
