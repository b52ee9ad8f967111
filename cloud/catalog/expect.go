package catalog

import (
	"errors"
	"fmt"
	"math"
)

// Expect is what a write wants to find: the revision that it replaces, or one
// of the constants.
type Expect uint64

// What a write may find beside one revision.
const (
	Absent  Expect = 0                  // no document of that name
	Any     Expect = math.MaxUint64     // whatever is there
	Present Expect = math.MaxUint64 - 1 // any revision
)

func (x Expect) met(revision uint64) bool {
	switch x {
	case Any:
		return true
	case Present:
		return revision != 0
	}
	return revision == uint64(x)
}

// ErrConflict is matched by every *ConflictError.
var ErrConflict = errors.New("the document is not as expected")

// ConflictError says what a write found instead of what it expected. It
// changed nothing.
type ConflictError struct {
	Present Document // its revision is 0 if there is none
	Expect  Expect
}

func (e *ConflictError) Error() string {
	switch {
	case e.Present.Revision == 0 && e.Expect == Present:
		return fmt.Sprintf("there is no %s to replace", e.Present)
	case e.Present.Revision == 0:
		return fmt.Sprintf("%s was deleted since revision %d: read again what there is", e.Present, e.Expect)
	case e.Expect == Absent:
		return fmt.Sprintf("%s exists, at revision %d", e.Present, e.Present.Revision)
	case e.Present.Revision > uint64(e.Expect):
		return fmt.Sprintf("%s was changed since: it is at revision %d, applied %s, and yours replaces revision %d: read it again and change that", e.Present, e.Present.Revision, e.Present.Applied.Format("2006-01-02 15:04:05 MST"), e.Expect)
	}
	return fmt.Sprintf("%s is at revision %d, revision %d has not been yet", e.Present, e.Present.Revision, e.Expect)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
