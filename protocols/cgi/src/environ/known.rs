//! The names that have rules of their own.

macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// A name with a rule of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Known {
            $($variant,)*
        }

        impl Known {
            /// How many there are.
            pub(super) const COUNT: usize = [$(Self::$variant),*].len();

            #[inline]
            pub(super) const fn of(name: &[u8]) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            pub(super) const fn name(self) -> &'static [u8] {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

known! {
    RequestMethod = b"REQUEST_METHOD",
    ScriptName = b"SCRIPT_NAME",
    PathInfo = b"PATH_INFO",
    QueryString = b"QUERY_STRING",
    RequestUri = b"REQUEST_URI",
    DocumentUri = b"DOCUMENT_URI",
    ScriptFilename = b"SCRIPT_FILENAME",
    ServerSoftware = b"SERVER_SOFTWARE",
    ServerName = b"SERVER_NAME",
    ServerPort = b"SERVER_PORT",
    ServerProtocol = b"SERVER_PROTOCOL",
    HttpHost = b"HTTP_HOST",
    Https = b"HTTPS",
    RequestScheme = b"REQUEST_SCHEME",
    ContentLength = b"CONTENT_LENGTH",
    ContentType = b"CONTENT_TYPE",
    HttpProxy = b"HTTP_PROXY",
    HttpContentLength = b"HTTP_CONTENT_LENGTH",
    HttpContentType = b"HTTP_CONTENT_TYPE",
}
