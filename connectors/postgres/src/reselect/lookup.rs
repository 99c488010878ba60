//! Asks the server for rows, several with one message: it answers them in order, and stops at the first that it refuses.

use std::time::Duration;

use bytes::Bytes;

use crate::error::{DbError, PgError, within};
use crate::wire::Wire;

/// How much longer than the server itself, which has a limit for each statement, an answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// The answer to one statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The first row, as the server sent it.
    pub first: Option<Bytes>,
    /// There are more rows.
    pub several: bool,
}

/// The answers to the first statements, and why the one behind them has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub rows: Vec<Answer>,
    pub failure: Option<DbError>,
}

/// Asks. An error means that the session is of no use any more.
pub async fn ask(sql: &mut Wire, statements: &[String], limit: Option<Duration>) -> Result<Answers, PgError> {
    let address = sql.host().to_string();
    let limit = limit.map(|limit| limit + GRACE);
    let late = |limit| PgError::silent(&address, limit);
    within(limit, sql.send_query(&statements.join("; ")), late).await?;
    let mut answers = Answers::default();
    let mut answer = Answer::default();
    loop {
        let frame = match within(limit, sql.read_frame(), late).await {
            Ok(frame) => frame,
            // What the server said before it hung up says more.
            Err(error) => return Err(answers.failure.map_or(error, PgError::Db)),
        };
        match frame.tag {
            b'D' if answer.first.is_none() => answer.first = Some(frame.body),
            b'D' => answer.several = true,
            b'C' => answers.rows.push(std::mem::take(&mut answer)),
            b'E' => answers.failure = Some(DbError::parse(&frame.body)),
            b'Z' => break,
            _ => {}
        }
    }
    if answers.failure.is_none() && answers.rows.len() != statements.len() {
        return Err(PgError::Protocol(format!("{} answers to {} statements", answers.rows.len(), statements.len())));
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::settings::Settings;
    use crate::wire::Purpose;

    /// Frames of a server, each with its tag.
    fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, body) in parts {
            bytes.push(*tag);
            bytes.extend(u32::try_from(body.len() + 4).expect("short").to_be_bytes());
            bytes.extend(*body);
        }
        bytes
    }

    /// A session with a server that answers one message with this, and then hangs up.
    async fn session(answer: Vec<u8>) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let length = client.read_u32().await.expect("a length") as usize;
            client.read_exact(&mut vec![0; length - 4]).await.expect("a startup message");
            client.write_all(&frames(&[(b'R', &[0; 4]), (b'Z', b"I")])).await.expect("admitted");
            client.read_u8().await.expect("a query");
            let length = client.read_u32().await.expect("a length") as usize;
            client.read_exact(&mut vec![0; length - 4]).await.expect("a query");
            client.write_all(&answer).await.expect("answered");
        });
        let props = [
            ("topic.prefix", "p"),
            ("database.hostname", "127.0.0.1"),
            ("database.port", &port),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("database.sslmode", "disable"),
        ];
        let props = props.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let server = Settings::parse(&props).expect("valid settings").server;
        Wire::connect(&server, Purpose::Sql).await.expect("connected")
    }

    async fn asked(count: usize, parts: &[(u8, &[u8])]) -> Result<Answers, PgError> {
        let statements = vec!["SELECT 1".to_owned(); count];
        ask(&mut session(frames(parts)).await, &statements, Some(Duration::from_secs(10))).await
    }

    const REFUSED: &[u8] = b"SERROR\0C42703\0Mno such column\0\0";

    #[tokio::test]
    async fn answers_come_in_order_until_one_is_refused() {
        let parts: &[(u8, &[u8])] = &[
            (b'T', b""),
            (b'D', b"one"),
            (b'C', b""),
            (b'T', b""),
            (b'C', b""),
            (b'D', b"two"),
            (b'D', b"three"),
            (b'C', b""),
            (b'E', REFUSED),
            (b'Z', b"I"),
        ];
        let answers = asked(5, parts).await.expect("answers");
        let row = |text: &'static [u8], several| Answer { first: Some(Bytes::from_static(text)), several };
        assert_eq!(answers.rows, [row(b"one", false), Answer::default(), row(b"two", true)]);
        assert_eq!(answers.failure.map(|error| error.sqlstate), Some("42703".to_owned()));
    }

    #[tokio::test]
    async fn a_session_that_ends_is_an_error_that_says_what_the_server_said() {
        let ended = asked(1, &[(b'E', b"SFATAL\0C57P01\0Mterminating\0\0")]).await.expect_err("it hung up");
        assert_eq!(ended.sqlstate(), Some("57P01"));
        let silent = asked(1, &[(b'D', b"one")]).await.expect_err("it hung up");
        assert!(matches!(silent, PgError::Io { .. }), "{silent}");
        let short = asked(2, &[(b'C', b""), (b'Z', b"I")]).await.expect_err("an answer is missing");
        assert!(matches!(short, PgError::Protocol(_)), "{short}");
    }
}
