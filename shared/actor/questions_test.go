package actor

import "testing"

// Whoever asks looks for room in the list of those that wait: seldom, however
// many they are, and the list stays small beside them.
func TestTheListOfQuestionsIsSweptSeldom(t *testing.T) {
	for _, open := range []int{0, 1, 7, 63, 64, 65, 1023} {
		var list questions
		ask := func(state uint32) {
			q := &question{serial: 1}
			q.state.Store(1<<stateBits | state)
			list.add(q)
		}
		for range open {
			ask(waiting)
		}
		const asked = 20_000
		looked := 0
		for range asked {
			before := len(list)
			ask(over)
			if len(list) <= before {
				looked += before
			}
		}
		if most := 4 * asked; looked > most {
			t.Errorf("%d wait: %d looks at a question for %d that came, want at most %d", open, looked, asked, most)
		}
		if most := 4*open + 16; cap(list) > most {
			t.Errorf("%d wait: the list has room for %d, want at most %d", open, cap(list), most)
		}
	}
}
