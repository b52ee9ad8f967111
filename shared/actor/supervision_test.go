package actor_test

import (
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/shared/actor"
)

// The scenarios in testdata/supervision are commands to a tree of actors, each
// followed by what it brings about: for each actor the calls of its receivers
// by number, in their order. At the end of each the tree must come to an end, a
// parent after its children, and every accepted message must have been handled
// once or be a dead letter (I5).
func TestATreeOfActorsFollowsItsStrategies(t *testing.T) {
	datadriven.Walk(t, "testdata/supervision", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) (out string) {
			if d.Cmd != "tree" {
				t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			}
			synctest.Test(t, func(t *testing.T) { out = newTree(t, actor.Blocking).script(d.Input) })
			return out
		})
	})
}
