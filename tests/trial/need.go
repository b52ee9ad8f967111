package trial

import (
	"errors"
	"os"
)

// Need is what a scenario cannot do without on the machine that it runs on.
type Need struct {
	Name string
	Try  func() error // nil if the machine has it, otherwise why not
}

// Root is a need.
var Root = Need{"root", func() error {
	if os.Geteuid() != 0 {
		return errors.New("this is not root")
	}
	return nil
}}

// survey tries what scenarios need, each need once.
func survey(all []Scenario) (lacks map[string]error) {
	lacks = map[string]error{}
	for _, s := range all {
		for _, n := range s.Needs {
			if _, known := lacks[n.Name]; !known {
				lacks[n.Name] = n.Try()
			}
		}
	}
	return lacks
}
