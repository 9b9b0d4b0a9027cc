//! A test per web server of each case.

/// Makes of each case function a test per web server: `CASE::SERVER`.
///
/// ```text
/// on_servers! { GROUP: case, case; GROUP: case; }
/// ```
///
/// - `core`: all there are; for the few cases in which variants of one web server
///   may differ.
/// - `all`: one or two of each web server.
/// - `fastcgi`: those of them that speak FastCGI, and not SCGI.
/// - `routed`: all but solo mode; for cases that need several app threads or a
///   gateway that outlives a worker.
macro_rules! on_servers {
    ($($group:ident: $($case:ident),+ $(,)?;)+) => {
        mod on {
            $($(mod $case { on_servers!(@$group $case); })+)+
        }
    };
    (@core $case:ident) => {
        on_servers!(@all $case);
        on_servers!(@test $case: ApacheTcp apache_tcp, ApacheReuse apache_reuse,
            ApacheHandler apache_handler);
    };
    (@all $case:ident) => {
        on_servers!(@routed $case);
        on_servers!(@test $case: NginxSolo nginx_solo);
    };
    (@fastcgi $case:ident) => {
        on_servers!(@routed_fastcgi $case);
        on_servers!(@test $case: NginxSolo nginx_solo);
    };
    (@routed $case:ident) => {
        on_servers!(@routed_fastcgi $case);
        on_servers!(@test $case: NginxScgi nginx_scgi, LighttpdScgi lighttpd_scgi,
            ApacheScgi apache_scgi);
    };
    (@routed_fastcgi $case:ident) => {
        on_servers!(@test $case: NginxFastcgi nginx_fastcgi, NginxKeepConn nginx_keep_conn,
            NginxUnbuffered nginx_unbuffered, LighttpdFastcgi lighttpd_fastcgi,
            ApacheFastcgi apache_fastcgi, Haproxy haproxy, HaproxyMultiplexed haproxy_multiplexed,
            Caddy caddy, H2o h2o);
    };
    (@test $case:ident: $($front:ident $name:ident),+) => {
        $(#[test]
        fn $name() {
            super::super::$case($crate::harness::front::Front::$front);
        })+
    };
}
