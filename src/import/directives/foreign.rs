//! Modules that nginx's packages do not hold, but that people load: how their directives begin. Where such a word stands, its module was there, or nginx
//! would not have started.

use super::Fate::{self, Guard, Handler, Lost};

/// The beginning of a name, or the whole of it if a blank follows.
pub(super) const BEGINNINGS: &[(&str, Fate)] = &[
    ("more_", Lost("headers-more is not here; see `add_header` and `proxy_hide_header`")),
    ("js_access", Guard("programs in JavaScript are not run")),
    ("js_content", Handler("programs in JavaScript are not run")),
    ("js_", Lost("programs in JavaScript are not run")),
    ("access_by_lua", Guard("Lua is not run")),
    ("content_by_lua", Handler("Lua is not run")),
    ("rewrite_by_lua", Guard("Lua is not run")),
    ("set_by_lua", Lost("Lua is not run")),
    ("init_by_lua", Lost("Lua is not run")),
    ("header_filter_by_lua", Lost("Lua is not run")),
    ("body_filter_by_lua", Lost("Lua is not run")),
    ("log_by_lua", Lost("Lua is not run")),
    ("lua_", Lost("Lua is not run")),
    ("modsecurity", Lost("requests are not searched for attacks")),
    ("auth_jwt", Guard("tokens are not looked at")),
    ("auth_oidc", Guard("nobody is sent elsewhere to log in")),
    ("auth_pam", Guard("PAM is not asked")),
    ("auth_ldap", Guard("LDAP is not asked")),
    ("auth_digest", Guard("digests are not understood; see `auth_basic`")),
    ("geoip2", Lost("countries are not known")),
    ("fancyindex", Lost("see `autoindex`")),
    ("echo", Handler("see `return`")),
    ("vhost_traffic_status_display", Handler("see `ringgate status`")),
    ("vhost_traffic_status", Lost("see `ringgate status`")),
    ("pagespeed", Lost("pages are not changed")),
    ("health_check ", Lost("write [upstream.NAME.health_check]")),
    ("status_zone ", Lost("see `ringgate status`")),
    ("api ", Handler("see `ringgate status`")),
    ("keyval", Lost("there is no store of keys")),
    ("queue ", Lost("write queue = 100 and queue_timeout = \"10s\" in the group")),
    ("state ", Lost("servers stand in the file")),
    ("ntlm ", Lost("NTLM is not supported")),
    ("slow_start ", Lost("it belongs to each server: slow_start=30s")),
    ("mail ", Lost("mail is not proxied by protocol; a [[tcp]] section passes it on")),
];
