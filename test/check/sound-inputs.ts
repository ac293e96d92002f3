/** Everything among the fixtures that verify must not find damaged, with the notes it has on each. */

const RESTORED = ['schema schema.conf-state'];
const BUMPED = [...RESTORED, 'schema mvcc.bump'];
const OF_3_4 = ['schema schema.version'];

interface SoundInput {
  /** Below `fixtures`. */
  path: string;
  kind: 'backup' | 'data directory';
  /** Layer and code of each note, in order. */
  notes: string[];
}

const backup = (path: string, notes: string[] = []): SoundInput => ({ path, kind: 'backup', notes });
const directory = (path: string, notes: string[] = []): SoundInput => ({
  path: `${path}.tar.gz`,
  kind: 'data directory',
  notes,
});

export const SOUND_INPUTS: readonly SoundInput[] = [
  backup('snap/snap-3.4.db', OF_3_4),
  backup('snap/snap-3.5.db'),
  backup('snap/snap-3.6.db'),
  backup('snap/snap-3.7.db'),
  backup('kubernetes/k8s-small-3.6.db.gz'),
  backup('kubernetes/k8s-small-after-3.6.db.gz'),
  directory('kubernetes/k8s-small-datadir-3.6'),
  directory('datadir/datadir-3.4', OF_3_4),
  directory('datadir/datadir-3.5'),
  directory('datadir/datadir-3.6'),
  directory('datadir/datadir-3.7'),
  directory('datadir/misc-alarm-downgrade-promote-3.6', ['schema schema.downgrade', 'schema schema.alarm']),
  directory('tail/tail-before-3.5'),
  directory('tail/tail-before-3.6'),
  directory('tail/tail-before-3.7'),
  directory('restore/restored-3node-by-3.4', [...OF_3_4, 'log schema.membership']),
  directory('restore/restored-3node-by-3.5', RESTORED),
  directory('restore/restored-3node-by-3.6', RESTORED),
  directory('restore/restored-3node-by-3.7', RESTORED),
  directory('restore/restored-bump1000-by-3.5', BUMPED),
  directory('restore/restored-bump1000-by-3.6', BUMPED),
  directory('restore/restored-bump1000-by-3.7', BUMPED),
];
