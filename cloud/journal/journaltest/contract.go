package journaltest

import (
	"context"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// Journal is what a shard's log promises: journal.Log and Log have it.
type Journal interface {
	Publish(ctx context.Context, recs []journal.Record) (seq uint64, err error)
	PublishMessage(ctx context.Context, msg []byte) (seq uint64, err error)
	PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (seq uint64, err error)
	PublishBarrier(ctx context.Context, previous uint64, b journal.Barrier) (token uint64, err error)
	LastBarrier(ctx context.Context) (journal.Barrier, uint64, error)
	Bounds(ctx context.Context) (first, last uint64, err error)
	Read(ctx context.Context, from uint64) (journal.Reader, error)
	Purge(ctx context.Context, below uint64) error
}

// Bucket is what a shard's objects promise.
type Bucket interface {
	Put(ctx context.Context, name string, data []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	List(ctx context.Context) ([]journal.Object, error)
	Delete(ctx context.Context, name string) error
}

// Documents is what a key-value bucket promises.
type Documents interface {
	Get(ctx context.Context, key string) (journal.Entry, error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
	Keys(ctx context.Context) ([]string, error)
	Watch(ctx context.Context, each func(journal.Entry), ready func()) error
}

var (
	_ Journal   = (*journal.Log)(nil)
	_ Journal   = (*Log)(nil)
	_ Bucket    = (*journal.Objects)(nil)
	_ Bucket    = (*Objects)(nil)
	_ Documents = (*journal.KV)(nil)
	_ Documents = (*KV)(nil)
)

// Harness is an empty store under test.
type Harness struct {
	Log     Journal
	Objects Bucket
	KV      Documents
	// Crash ends the store without a clean stop and opens what it left behind.
	Crash func() Harness
}

// Case is one promise of the contract. Run is given an empty store; it starts
// no subtests, so that it may run within a synctest bubble.
type Case struct {
	Name string
	Run  func(t *testing.T, h Harness)
}

// Contract runs every case, each with a store of its own.
func Contract(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
	}
}

// Cases returns the contract.
func Cases() []Case {
	return []Case{
		{"TheFirstMessageIsABarrier", firstIsBarrier},
		{"OfTwoClaimantsOneWins", oneWins},
		{"AZombieIsFencedAlsoAfterAPurge", zombieFenced},
		{"APurgeNeverRemovesTheBarrier", purgeKeepsBarrier},
		{"AReaderGetsEveryMessageInOrder", readsDense},
		{"AReaderWaitsForWhatComes", readerWaits},
		{"AHoleIsAnErrorNeverASkip", holeIsError},
		{"ClosingAReaderEndsItsNext", closeEndsNext},
		{"WhatIsRefusedChangesNothing", refusedChangesNothing},
		{"ConcurrentPublishersShareOneDenseOrder", concurrentDense},
		{"WhatWasAckedSurvivesACrash", func(t *testing.T, h Harness) {
			if err := AckedSurvivesCrash(t.Context(), h); err != nil {
				t.Error(err)
			}
		}},
		{"ObjectsAreWholeAndReplaceable", objectsWhole},
		{"DocumentsChangeOnlyByCompareAndSet", documentsCAS},
		{"ADeletedDocumentIsGoneAndMayComeAgain", documentsDelete},
		{"AWatchGivesWhatIsThereThenWhatComes", watchGives},
	}
}
