package history

import (
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/id"
)

// Ledger yields all ledger entries of a site, by shard and then in journal
// order. After an error it yields nothing more.
func (s *Store) Ledger(site id.Site) iter.Seq2[Entry, error] {
	return entries(s, "ledger of "+string(site), named(keyLedger, string(site)), func(Entry) bool { return true })
}

// AlarmLog yields what the alarms of a site did, by shard and then in journal
// order: the newest last. After an error it yields nothing more.
func (s *Store) AlarmLog(site id.Site) iter.Seq2[AlarmEntry, error] {
	return entries(s, "alarm log of "+string(site), named(keyAlarm, string(site)), func(AlarmEntry) bool { return true })
}

// DeadLetters yields the dead letters of a site, by shard and then in journal
// order. After an error it yields nothing more.
func (s *Store) DeadLetters(site id.Site) iter.Seq2[DeadLetter, error] {
	return entries(s, "dead letters of "+string(site), []byte{keyDead}, func(d DeadLetter) bool { return d.Site == site })
}

func entries[E any](s *Store, what string, prefix []byte, want func(E) bool) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		stopped := false
		err := s.db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(walk(prefix))
			defer it.Close()
			for it.Rewind(); it.Valid() && !stopped; it.Next() {
				var e E
				item := it.Item()
				err := item.Value(func(v []byte) error {
					b, err := s.open(item.Key(), v)
					if err != nil {
						return err
					}
					return s.dec.Unmarshal(b, &e)
				})
				if err != nil {
					return fmt.Errorf("%s: %w", placeOf(item.Key()), err)
				}
				stopped = want(e) && !yield(e, nil)
			}
			return nil
		})
		if err != nil {
			var none E
			yield(none, fmt.Errorf("history: %s: %w", what, err))
		}
	}
}
