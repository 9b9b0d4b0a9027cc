//! Section 3.3 and 8: the record header and the protocol's numbers.

use crate::Error;

/// `FCGI_VERSION_1`, the only version there is.
pub(crate) const VERSION_1: u8 = 1;
/// `FCGI_HEADER_LEN`: bytes of a record header.
pub(crate) const HEADER_LEN: usize = 8;
/// `FCGI_NULL_REQUEST_ID`: the id of management records.
pub(crate) const NULL_REQUEST_ID: u16 = 0;
/// `FCGI_KEEP_CONN`: the flag of `BEGIN_REQUEST`.
pub(crate) const KEEP_CONN: u8 = 1;

/// `FCGI_MAX_CONNS`, a variable of `GET_VALUES`.
pub(crate) const MAX_CONNS: &[u8] = b"FCGI_MAX_CONNS";
/// `FCGI_MAX_REQS`, a variable of `GET_VALUES`.
pub(crate) const MAX_REQS: &[u8] = b"FCGI_MAX_REQS";
/// `FCGI_MPXS_CONNS`, a variable of `GET_VALUES`.
pub(crate) const MPXS_CONNS: &[u8] = b"FCGI_MPXS_CONNS";

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordType {
    /// The web server starts a request.
    BeginRequest = 1,
    /// The web server gives a request up.
    AbortRequest = 2,
    /// The application has answered a request.
    EndRequest = 3,
    /// A part of the name/value pairs.
    Params = 4,
    /// A part of the request body.
    Stdin = 5,
    /// A part of the response.
    Stdout = 6,
    /// A part of the error text.
    Stderr = 7,
    /// A part of the file that a Filter works on.
    Data = 8,
    /// The web server asks for the application's limits.
    GetValues = 9,
    /// The application tells its limits.
    GetValuesResult = 10,
    /// The application does not know a management record.
    UnknownType = 11,
}

impl RecordType {
    /// The type of this number, if the specification has one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            _ => return None,
        })
    }

    /// The name in the specification, without `FCGI_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeginRequest => "BEGIN_REQUEST",
            Self::AbortRequest => "ABORT_REQUEST",
            Self::EndRequest => "END_REQUEST",
            Self::Params => "PARAMS",
            Self::Stdin => "STDIN",
            Self::Stdout => "STDOUT",
            Self::Stderr => "STDERR",
            Self::Data => "DATA",
            Self::GetValues => "GET_VALUES",
            Self::GetValuesResult => "GET_VALUES_RESULT",
            Self::UnknownType => "UNKNOWN_TYPE",
        }
    }
}

/// What the web server wants from the application (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Role {
    /// Answers an HTTP request, as a CGI program does.
    Responder = 1,
    /// Decides whether an HTTP request may go on.
    Authorizer = 2,
    /// Answers an HTTP request by transforming a file, sent as DATA.
    Filter = 3,
}

impl Role {
    /// The role of this number, if the specification has one.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Responder,
            2 => Self::Authorizer,
            3 => Self::Filter,
            _ => return None,
        })
    }
}

/// How a request ended as the protocol sees it (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ProtocolStatus {
    /// The request was served, or failed on its own account.
    RequestComplete = 0,
    /// Refused: this application takes one request at a time on a connection.
    CantMpxConn = 1,
    /// Refused: no room for another request.
    Overloaded = 2,
    /// Refused: a role that this application does not have.
    UnknownRole = 3,
}

impl ProtocolStatus {
    /// The status of this number, if the specification has one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::RequestComplete,
            1 => Self::CantMpxConn,
            2 => Self::Overloaded,
            3 => Self::UnknownRole,
            _ => return None,
        })
    }
}

/// A record header. The type stays a number: an unknown one is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) id: u16,
    pub(crate) content: u16,
    pub(crate) padding: u8,
}

impl Header {
    pub(crate) const fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, Error> {
        let [version, kind, id1, id0, content1, content0, padding, _reserved] = bytes;
        if version != VERSION_1 {
            return Err(Error::Version { got: version });
        }
        Ok(Self {
            kind,
            id: u16::from_be_bytes([id1, id0]),
            content: u16::from_be_bytes([content1, content0]),
            padding,
        })
    }

    pub(crate) const fn bytes(kind: RecordType, id: u16, content: u16, padding: u8) -> [u8; 8] {
        let [id1, id0] = id.to_be_bytes();
        let [content1, content0] = content.to_be_bytes();
        [VERSION_1, kind as u8, id1, id0, content1, content0, padding, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 8, "Types and Constants", as the specification prints them.
    #[test]
    fn the_numbers_are_those_of_the_specification() {
        let types = [
            (1, "BEGIN_REQUEST"),
            (2, "ABORT_REQUEST"),
            (3, "END_REQUEST"),
            (4, "PARAMS"),
            (5, "STDIN"),
            (6, "STDOUT"),
            (7, "STDERR"),
            (8, "DATA"),
            (9, "GET_VALUES"),
            (10, "GET_VALUES_RESULT"),
            (11, "UNKNOWN_TYPE"),
        ];
        for (number, name) in types {
            let kind = RecordType::from_number(number).unwrap();
            assert_eq!((kind as u8, kind.name()), (number, name));
        }
        assert_eq!(RecordType::from_number(0), None);
        assert_eq!(RecordType::from_number(12), None);

        assert_eq!((VERSION_1, HEADER_LEN, NULL_REQUEST_ID, KEEP_CONN), (1, 8, 0, 1));
        let roles = [Role::Responder, Role::Authorizer, Role::Filter];
        assert_eq!(roles.map(|role| role as u16), [1, 2, 3]);
        assert_eq!([1, 2, 3].map(|n| Role::from_number(n).unwrap()), roles);
        assert_eq!((Role::from_number(0), Role::from_number(4)), (None, None));

        let statuses = [
            ProtocolStatus::RequestComplete,
            ProtocolStatus::CantMpxConn,
            ProtocolStatus::Overloaded,
            ProtocolStatus::UnknownRole,
        ];
        assert_eq!(statuses.map(|status| status as u8), [0, 1, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|n| ProtocolStatus::from_number(n).unwrap()), statuses);
        assert_eq!(ProtocolStatus::from_number(4), None);
    }

    #[test]
    fn a_header_goes_out_and_comes_back() {
        let bytes = Header::bytes(RecordType::Stdin, 0x0102, 0xfff8, 7);
        assert_eq!(bytes, [1, 5, 1, 2, 0xff, 0xf8, 7, 0]);
        let header = Header::parse(bytes).unwrap();
        assert_eq!(header, Header { kind: 5, id: 0x0102, content: 0xfff8, padding: 7 });
        assert_eq!(Header::parse([2, 5, 0, 1, 0, 0, 0, 0]), Err(Error::Version { got: 2 }));
    }
}
