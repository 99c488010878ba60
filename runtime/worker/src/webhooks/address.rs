//! Which addresses a webhook may be at.
//!
//! A job's webhooks are named by whoever may create jobs; the worker often stands where that person may not reach: beside
//! brokers, databases and the metadata service of a cloud. So only addresses of the public internet are reached unless the
//! worker's owner says otherwise, and what is not known to be public counts as private: a range that is forgotten here
//! fails towards refusing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not one of the public internet; `None` when it is.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// The special-purpose registry of IPv4 (RFC 6890 and what followed).
fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by carriers",
        // With it 169.254.169.254, where clouds keep the credentials of their machines.
        [169, 254, ..] => "link-local",
        // Looks public, and is the host of a virtual machine in Azure.
        [168, 63, 129, 16] => "a cloud's own",
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => "reserved",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

/// Public is what lies in 2000::/3, the only range given out so far, without its special parts; and what carries a public
/// IPv4 address in a form that a system or a gateway turns back into IPv4.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(carried) = carried_v4(address) {
        return not_public_v4(carried);
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0xfc00..=0xfdff, ..] => "unique local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xff00..=0xffff, ..] => "multicast",
        // Teredo and other protocols' own, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => "reserved",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

/// The IPv4 address inside one of IPv6: mapped, translated, NAT64 and 6to4.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0, 0, 0, 0, 0, 0xffff, high, low]
    | [0, 0, 0, 0, 0xffff, 0, high, low]
    | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_an_address_inside_is_refused() {
        let refused = [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared by carriers"),
            ("100.127.255.255", "shared by carriers"),
            ("100.100.100.200", "shared by carriers"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "a cloud's own"),
            ("192.0.0.192", "reserved"),
            ("192.0.2.1", "reserved"),
            ("198.18.0.1", "reserved"),
            ("198.51.100.7", "reserved"),
            ("203.0.113.9", "reserved"),
            ("192.88.99.1", "reserved"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::127.0.0.1", "reserved"),
            ("::8.8.8.8", "reserved"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0:10.0.0.1", "private"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::169.254.169.254", "link-local"),
            ("64:ff9b:1::8.8.8.8", "reserved"),
            ("2002:7f00:1::", "loopback"),
            ("2002:a9fe:a9fe::1", "link-local"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
            ("2001:db8::1", "reserved"),
            ("3fff::1", "reserved"),
            ("100::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "unique local"),
            ("fd00:ec2::254", "unique local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
        ];
        for (address, why) in refused {
            assert_eq!(not_public(address.parse().unwrap()), Some(why), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_reached() {
        let reached = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ];
        for address in reached {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
    }

    fn known_to_std(address: Ipv4Addr) -> bool {
        address.is_loopback()
            || address.is_private()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_unspecified()
            || address.is_broadcast()
            || address.is_documentation()
    }

    /// Half of them near the special ranges, which random bits seldom meet.
    fn v4() -> impl Strategy<Value = Ipv4Addr> {
        let first = prop_oneof![
            any::<u8>(),
            prop::sample::select(vec![0, 10, 100, 127, 169, 172, 192, 198, 203, 223, 224, 239, 240, 255])
        ];
        let second = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 16, 31, 51, 64, 127, 168, 254, 255])];
        let third = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 2, 99, 100, 113, 255])];
        (first, second, third, any::<u8>()).prop_map(|(a, b, c, d)| Ipv4Addr::new(a, b, c, d))
    }

    fn v6() -> impl Strategy<Value = Ipv6Addr> {
        let first = prop_oneof![
            any::<u16>(),
            prop::sample::select(vec![0, 0x64, 0x2000, 0x2001, 0x2002, 0x3fff, 0xfc00, 0xfdff, 0xfe80, 0xfebf, 0xff02])
        ];
        let rest = prop::array::uniform7(prop_oneof![Just(0), any::<u16>()]);
        (first, rest).prop_map(|(a, [b, c, d, e, f, g, h])| Ipv6Addr::new(a, b, c, d, e, f, g, h))
    }

    proptest! {
        #[test]
        fn nothing_that_the_standard_library_knows_is_reached(four in v4(), six in v6()) {
            if known_to_std(four) {
                prop_assert!(not_public(four.into()).is_some(), "{}", four);
            }
            let special = six.is_loopback() || six.is_unspecified() || six.is_multicast() || six.is_unique_local()
                || six.is_unicast_link_local() || six.to_ipv4_mapped().is_some_and(known_to_std);
            if special {
                prop_assert!(not_public(six.into()).is_some(), "{}", six);
            }
        }

        /// Whatever dress it wears, an IPv4 address is judged as what it is.
        #[test]
        fn a_carried_address_is_judged_as_itself(four in v4()) {
            let [a, b, c, d] = four.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let expected = not_public(four.into());
            for dressed in [
                four.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(not_public(dressed.into()), expected, "{}", dressed);
            }
        }

        /// Outside 2000::/3 only an address of IPv4 that is carried can be public.
        #[test]
        fn what_was_never_given_out_is_refused(six in v6()) {
            if !(0x2000..=0x3fff).contains(&six.segments()[0]) && carried_v4(six).is_none() {
                prop_assert!(not_public(six.into()).is_some(), "{}", six);
            }
        }
    }
}
