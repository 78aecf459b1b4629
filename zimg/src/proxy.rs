//! The proxies that the environment names, as curl reads it: `http_proxy` (in lower case only, as a
//! CGI program's HTTP_PROXY is its caller's), `https_proxy`, `all_proxy`, `no_proxy`.

use flist::store::{Proxies, Proxy};

use crate::exit::Usage;

/// Reads them from the process's environment.
pub(crate) fn from_environment() -> anyhow::Result<Proxies> {
    proxies(|name| std::env::var(name).ok())
}

fn proxies(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Proxies> {
    let first = |names: &[&'static str]| {
        names.iter().find_map(|name| Some((*name, variable(name).filter(|v| !v.is_empty())?)))
    };
    let proxy = |names: &[&'static str]| -> anyhow::Result<Option<Proxy>> {
        let Some((name, value)) = first(names) else { return Ok(None) };
        // The value is not repeated: it may hold a password.
        let bad = |e| Usage(format!("the environment variable {name} names no proxy: {e}"));
        Ok(Some(value.parse().map_err(bad)?))
    };
    let except = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
    let except = except.split([',', ' ']).map(str::trim).filter(|pattern| !pattern.is_empty());
    Ok(Proxies {
        http: proxy(&["http_proxy", "all_proxy", "ALL_PROXY"])?,
        https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
        except: except.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> anyhow::Result<Proxies> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        proxies(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn as_curl_reads_them() {
        let shown = |variables: &[(&str, &str)]| {
            let proxies = of(variables).unwrap();
            [proxies.http, proxies.https].map(|p| p.map(|p| p.to_string()).unwrap_or_default())
        };
        assert_eq!(shown(&[]), ["", ""]);
        assert_eq!(shown(&[("HTTP_PROXY", "http://a:1")]), ["", ""]);
        assert_eq!(shown(&[("http_proxy", "http://a:1")]), ["http://a:1", ""]);
        assert_eq!(
            shown(&[("HTTPS_PROXY", "http://a:1"), ("all_proxy", "b:2"), ("http_proxy", "")]),
            ["http://b:2", "http://a:1"]
        );
        let except = of(&[("no_proxy", "localhost, .corp,10.0.0.1")]).unwrap().except;
        assert_eq!(except, ["localhost", ".corp", "10.0.0.1"]);
    }

    #[test]
    fn what_names_no_proxy_is_told_by_its_variable() {
        let error = of(&[("https_proxy", "socks5://u:secret@p")]).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("https_proxy"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
