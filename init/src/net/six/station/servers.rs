//! A station's dealings with DHCPv6 servers.

use std::net::Ipv6Addr;
use std::time::Instant;

use rustix::io::Errno;

use super::{EITHER_PATIENCE, SERVERS, Station};
use crate::net::acquire::Event;
use crate::net::dhcp6::client::{Client, Outcome};
use crate::net::dhcp6::lease::Lease;
use crate::net::dhcp6::packet::Reply;
use crate::net::link::Mac;
use crate::net::six::frame;
use crate::net::spec::Method;

impl Station {
    pub(super) fn hear_server(
        &mut self,
        source: Ipv6Addr,
        reply: &Reply,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) {
        let Some(client) = &mut self.client else { return };
        match client.receive(now, reply) {
            Outcome::Ignored(why) => tell(Event::Useless(source.into(), why)),
            Outcome::Refused(why) => tell(Event::Refusal(source.into(), why)),
            Outcome::Offered(lease) => {
                if let Some(address) = lease.address {
                    tell(Event::Offer(source.into(), address.into()));
                    // While the server makes up its mind: so it costs no time.
                    self.look_for(address, now, tell);
                }
            }
            Outcome::Granted(lease) => self.six.lease = Some(lease),
        }
    }

    /// Leaves `address` to its holder.
    pub(super) fn give_up(
        &mut self,
        address: Ipv6Addr,
        holder: Mac,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), Errno> {
        let is_leased = |lease: &Lease| lease.address == Some(address);
        match (&mut self.client, self.six.lease.take_if(|lease| is_leased(lease))) {
            (Some(client), Some(lease)) => {
                let message = client.decline(now, &lease);
                self.send_to_servers(&message)?;
            }
            _ => self.six.give_up(address),
        }
        tell(Event::Declined(address.into(), holder));
        Ok(())
    }

    /// Asks DHCPv6 servers, where that is due.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Errno> {
        if self.client.is_none() && self.either_due().is_some_and(|due| due <= now) {
            self.client = Some(self.new_client(true, now));
        }
        match self.client.as_mut().and_then(|client| client.message(now)) {
            Some(message) => self.send_to_servers(&message),
            None => Ok(()),
        }
    }

    /// When DHCPv6 is tried where routers' word came to nothing.
    pub(super) fn either_due(&self) -> Option<Instant> {
        let is_waiting = self.method == Method::Either6 && self.client.is_none();
        (is_waiting && self.holders.free().is_empty()).then_some(self.began + EITHER_PATIENCE)
    }

    fn send_to_servers(&self, message: &[u8]) -> Result<(), Errno> {
        let datagram = frame::dhcp(self.six.link_local, SERVERS, message);
        self.socket.send(frame::group_mac(SERVERS), &datagram)
    }

    pub(super) fn new_client(&self, wants_address: bool, now: Instant) -> Client {
        let client = Client::new(self.mac, wants_address, self.seed, now);
        if self.is_booting { client } else { client.keeping(None, now) }
    }
}
