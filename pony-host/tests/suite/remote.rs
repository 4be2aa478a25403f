//! What storages of two hosts keep, one of which reads what the other exports.

use super::{StorageBench, assert_refused};
use pony_core::host::{DriverErrorKind, Export, RemoteVolume, Source, VolumeFormat, VolumeSpec};
use uuid::Uuid;

/// Two hosts.
pub struct Pair<'a> {
    pub owner: StorageBench<'a>,
    pub reader: StorageBench<'a>,
    pub owner_host: Uuid,
    /// How they are reached, and what they are known by.
    pub owner_way: String,
    pub reader_way: String,
    /// That of some other host.
    pub other_way: String,
}

impl Pair<'_> {
    pub fn source(&self, volume: &VolumeSpec) -> Source {
        let (host, volume, way) = (self.owner_host, volume.volume, self.owner_way.clone());
        Source::Remote(RemoteVolume { host, volume, way })
    }

    /// Lets the volume be read by whoever is known by `to`.
    pub fn export(&self, volume: &VolumeSpec, to: &str) {
        let export = Export { volume: volume.volume, pool: volume.pool.clone(), to: to.to_owned() };
        self.owner.storage.export(vec![export]);
    }
}

/// Volumes go from one to the other, and not before it is told, nor to anybody else.
pub async fn remote(pair: &Pair<'_>) {
    let Pair { owner, reader, .. } = pair;
    for format in owner.formats.iter().copied() {
        let image = owner.spec(format, None);
        owner.make(&image, &Source::Uri(owner.uri.clone())).await;
        unreadable(pair, &image).await;
        pair.export(&image, &pair.other_way);
        unreadable(pair, &image).await;
        pair.export(&image, &pair.reader_way);
        for to in reader.formats.iter().copied() {
            let exact = reader.spec(to, None);
            assert_eq!(reader.make(&exact, &pair.source(&image)).await.size_mib, owner.image_mib);
            assert_eq!(
                reader.make(&exact, &pair.source(&image)).await.size_mib,
                owner.image_mib,
                "it is there"
            );
            let larger = reader.spec(to, Some(owner.image_mib + 1));
            let fact = reader.make(&larger, &pair.source(&image)).await;
            assert_eq!(fact.size_mib, owner.image_mib + 1);
            let smaller = reader.spec(to, Some(owner.image_mib - 1));
            let answer = make(pair, &smaller, &pair.source(&image)).await;
            assert_refused(answer, DriverErrorKind::Order);
            for volume in [exact, larger, smaller] {
                reader.remove(&volume).await;
            }
        }
        let another = owner.spec(format, Some(8));
        unreadable(pair, &another).await;
        let lost = Source::Remote(RemoteVolume {
            host: pair.owner_host,
            volume: image.volume,
            way: pair.other_way.clone(),
        });
        assert_refused(make(pair, &reader.spec(format, None), &lost).await, DriverErrorKind::Transient);
        owner.storage.export(vec![]);
        unreadable(pair, &image).await;
        pair.export(&image, &pair.reader_way);
        owner.remove(&image).await;
        unreadable(pair, &image).await;
    }
    assert_eq!((owner.list().await, reader.list().await), (vec![], vec![]), "something was left behind");
}

async fn make(
    pair: &Pair<'_>,
    spec: &VolumeSpec,
    source: &Source,
) -> pony_host::Result<pony_core::host::VolumeFact> {
    pair.reader.storage.create_volume(spec, source, super::unheard()).await
}

async fn unreadable(pair: &Pair<'_>, image: &VolumeSpec) {
    let spec = pair.reader.spec(VolumeFormat::Raw, None);
    let answer = make(pair, &spec, &pair.source(image)).await;
    assert_refused(answer, DriverErrorKind::Transient);
    pair.reader.storage.delete_volume(&spec).await.unwrap();
}
