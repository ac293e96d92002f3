package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

// linearState is everything the model knows: the revision of the store, each key's value and revision, and
// whether all that was answered is over.
type linearState struct {
	isOver    bool
	revision  int64
	values    [linearKeysMax]int64
	revisions [linearKeysMax]int64
}

// linearVerdict is the line that `linear check` prints. Longest counts the operations that could be put into
// an order before none fitted any more.
type linearVerdict struct {
	Verdict    string  `json:"verdict"`
	Model      string  `json:"model"`
	Operations int     `json:"operations"`
	Unknown    int     `json:"unknown"`
	Longest    int     `json:"longest"`
	Seconds    float64 `json:"seconds"`
}

// checkLinear leaves the process with 0 when the history is linearizable, 3 when it is not, 4 when the time
// did not suffice to tell.
func checkLinear(args []string) {
	flags := flag.NewFlagSet("linear check", flag.ExitOnError)
	isLoose := flags.Bool("values-only", false, "look at values alone, not at revisions")
	limit := flags.Duration("limit", time.Minute, "give up after this time")
	picture := flags.String("html", "", "write porcupine's picture of the history to this file")
	_ = flags.Parse(args)
	if flags.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: linear check [--values-only] [--limit TIME] [--html FILE] FILE")
		os.Exit(2)
	}
	var history linearHistory
	text, err := os.ReadFile(flags.Arg(0))
	if err == nil {
		err = json.Unmarshal(text, &history)
	}
	if err == nil && (history.Keys < 1 || history.Keys > linearKeysMax) {
		err = fmt.Errorf("%d keys", history.Keys)
	}
	if err != nil {
		finish("linear", nil, err)
	}
	verdict := linearVerdict{Model: "revisions", Operations: len(history.Operations)}
	if *isLoose {
		verdict.Model = "values"
	}
	model := porcupineModel(history, *isLoose)
	operations := porcupineOperations(history, &verdict.Unknown)
	start := time.Now()
	result, info := porcupine.CheckOperationsVerbose(model, operations, *limit)
	verdict.Seconds, verdict.Verdict = time.Since(start).Seconds(), string(result)
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			verdict.Longest = max(verdict.Longest, len(order))
		}
	}
	if *picture != "" {
		err = porcupine.VisualizePath(model, info, *picture)
	}
	finish("linear", verdict, err)
	os.Exit(map[porcupine.CheckResult]int{porcupine.Ok: 0, porcupine.Illegal: 3}[result] + map[bool]int{true: 4}[result == porcupine.Unknown])
}

// porcupineOperations gives a write of unknown outcome no end. One that happened did so where it makes a
// revision; one that did not fits in behind a last operation of our own, after which nothing changes.
func porcupineOperations(history linearHistory, unknown *int) []porcupine.Operation {
	operations := make([]porcupine.Operation, 0, len(history.Operations)+1)
	last := int64(0)
	for _, operation := range history.Operations {
		end := operation.Return
		last = max(last, end)
		if operation.IsUnknown {
			end = math.MaxInt64
			*unknown++
		}
		operations = append(operations, porcupine.Operation{
			ClientId: operation.Client, Input: operation, Output: operation, Call: operation.Call, Return: end,
		})
	}
	over := linearOperation{Kind: "over"}
	return append(operations, porcupine.Operation{Input: over, Output: over, Call: last + 1, Return: last + 1})
}

// linearModel is what the operations are held against. What became of a write of unknown outcome is not left
// to the search alone, which would try every place for each: a revision that some other write was told is
// not its own, and a value that somebody read says which revision it made.
type linearModel struct {
	isLoose  bool
	observed map[int64]int64 // value → the revision with which it was read
	taken    map[int64]bool  // revisions that a write was told, or that a value was read with
	highest  int64           // that anybody saw: a write above it might as well not have happened
}

func porcupineModel(history linearHistory, isLoose bool) porcupine.Model {
	model := linearModel{isLoose: isLoose, observed: map[int64]int64{}, taken: map[int64]bool{}}
	for _, operation := range history.Operations {
		model.highest = max(model.highest, operation.Revision)
		isWrite := operation.Kind == "put" || operation.IsTaken
		if isWrite && !operation.IsUnknown {
			model.taken[operation.Revision] = true
		}
		for _, observed := range operation.Read {
			model.observed[observed.Value] = observed.Revision
			model.taken[observed.Revision] = true
		}
	}
	return porcupine.Model{
		Init: func() any { return linearState{revision: history.BaseRevision} },
		Step: func(state, input, _ any) (bool, any) {
			isPossible, next := model.step(state.(linearState), input.(linearOperation))
			return isPossible, next
		},
		Hash: func(state any) uint64 {
			known := state.(linearState)
			hash := uint64(known.revision)
			for _, value := range known.values {
				hash = hash*0x9e3779b97f4a7c15 + uint64(value)
			}
			return hash
		},
		DescribeOperation: func(input, _ any) string {
			text, _ := json.Marshal(input) // it came out of JSON, so it goes back in
			return string(text)
		},
		DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// step applies an operation to the state, if what the client was told fits. A loose model takes the numbers
// of revisions as they come, and a pair's condition, which compares one, as it went.
func (m *linearModel) step(state linearState, operation linearOperation) (bool, linearState) {
	if operation.Kind == "over" {
		state.isOver = true
		return true, state
	}
	isTaken := m.holds(state, operation)
	writes := isTaken && operation.Kind != "get" && operation.Kind != "list"
	if operation.IsUnknown {
		revision := max(m.observed[operation.Value], m.observed[operation.SecondValue])
		if state.isOver {
			return revision == 0, state
		}
		if !writes || !m.isLoose && !m.couldMake(state.revision+1, revision) {
			return false, state
		}
	} else if !m.fits(state, operation, isTaken) {
		return false, state
	}
	if writes {
		state.revision++
		state.set(operation.Key, operation.Value)
		if operation.Kind == "pair" {
			state.set(operation.Second, operation.SecondValue)
		}
	}
	if m.isLoose {
		state.revision, state.revisions = 0, [linearKeysMax]int64{}
		return true, state
	}
	return operation.IsUnknown || state.revision == operation.Revision, state
}

// couldMake says whether a write of unknown outcome, whose value was read with a revision or never (0), could
// have made this one.
func (m *linearModel) couldMake(revision, observed int64) bool {
	if observed != 0 || m.taken[revision] {
		return observed == revision
	}
	return revision <= m.highest
}

// holds says whether an operation's condition is met; those without one always go ahead.
func (m *linearModel) holds(state linearState, operation linearOperation) bool {
	switch operation.Kind {
	case "delete":
		return state.values[operation.Key] != 0
	case "swap":
		return state.values[operation.Key] == operation.Expected
	case "pair":
		if m.isLoose {
			return operation.IsTaken || operation.IsUnknown
		}
		return state.revisions[operation.Key] == operation.Expected
	}
	return true
}

// fits says whether the state is what the client was told.
func (m *linearModel) fits(state linearState, operation linearOperation, isTaken bool) bool {
	isConditional := operation.Kind == "delete" || operation.Kind == "swap" || operation.Kind == "pair"
	if isConditional && isTaken != operation.IsTaken {
		return false
	}
	for _, observed := range operation.Read {
		if state.values[observed.Key] != observed.Value || !m.isLoose && state.revisions[observed.Key] != observed.Revision {
			return false
		}
	}
	return true
}

// set writes a key at the current revision; the value 0, which a delete carries, takes it away.
func (s *linearState) set(key int, value int64) {
	s.values[key], s.revisions[key] = value, s.revision
	if value == 0 {
		s.revisions[key] = 0
	}
}
