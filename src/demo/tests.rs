//! That the story cannot be told where it is not so, and that the client takes the way that Go takes.

use super::puller::{Failure, Image, Puller};
use super::story::Story;
use super::world::{HUB, World};
use super::zone::{self, Host};
use super::{Fault, registry};
use crate::message::Name;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::net::{TcpListener, UdpSocket};

#[tokio::test]
async fn a_pull_that_does_not_hang_is_not_told_as_one() {
    let mut out = Vec::new();
    let mut story = Story::begin(&mut out).await.unwrap();
    story.world.heal();
    let pull = story.pull_without_us().await.unwrap();
    let fault = story.fail(pull).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Otherwise(what) if what.contains("was pulled from [::1]")),
        "{fault}"
    );
}

#[tokio::test]
async fn where_ipv6_is_refused_the_client_takes_ipv4() {
    let (tls, roots) = registry::identity(&[HUB]).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(registry::serve(listener, tls, Default::default()));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = socket.local_addr().unwrap();
    let host = Host {
        name: Name::parse(HUB).unwrap(),
        ipv4: Ipv4Addr::new(127, 0, 0, 2),
        ipv6: Ipv6Addr::LOCALHOST,
    };
    tokio::spawn(zone::serve(socket, vec![host]));
    let puller = Puller::new(server, roots).unwrap();
    let pull = |host, path| puller.pull(Image { host, port, path });

    let well = pull(HUB, "library/hello").await;
    assert!(well.peer.unwrap().is_ipv4() && well.result.unwrap() > 200);
    let unknown = pull("quay.io", "acme/hello").await;
    assert!(unknown.peer.is_none() && matches!(unknown.result, Err(Failure::Other(_))));
}

#[tokio::test]
async fn a_client_trusts_no_other_certificate() {
    let world = World::start().await.unwrap();
    let (_, roots) = registry::identity(&[HUB]).unwrap();
    let stranger = Puller::new(world.server, roots).unwrap();
    let failure = stranger.pull(world.other).await.result.unwrap_err();
    assert!(
        failure.to_string().contains("invalid peer certificate"),
        "{failure}"
    );
}
