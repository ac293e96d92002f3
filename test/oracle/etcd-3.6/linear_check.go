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

// linearState is everything the model knows: the revision of the store, and each key's value and revision.
type linearState struct {
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
	model := linearModel(history.BaseRevision, *isLoose)
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

// porcupineOperations gives a write of unknown outcome no end: it may have happened at any time after its
// call, and one that never happened fits in after all others.
func porcupineOperations(history linearHistory, unknown *int) []porcupine.Operation {
	operations := make([]porcupine.Operation, 0, len(history.Operations))
	for _, operation := range history.Operations {
		end := operation.Return
		if operation.IsUnknown {
			end = math.MaxInt64
			*unknown++
		}
		operations = append(operations, porcupine.Operation{
			ClientId: operation.Client, Input: operation, Output: operation, Call: operation.Call, Return: end,
		})
	}
	return operations
}

func linearModel(baseRevision int64, isLoose bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return linearState{revision: baseRevision} },
		Step: func(state, input, _ any) (bool, any) {
			isPossible, next := stepLinear(state.(linearState), input.(linearOperation), isLoose)
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

// stepLinear applies an operation to the state, if what the client was told fits. With isLoose the numbers
// of revisions are taken as they come, and a pair's condition, which compares one, as it went.
func stepLinear(state linearState, operation linearOperation, isLoose bool) (bool, linearState) {
	writes, isTaken := operation.Kind == "put", true
	switch operation.Kind {
	case "delete":
		isTaken = state.values[operation.Key] != 0
		writes = isTaken
	case "swap":
		isTaken = state.values[operation.Key] == operation.Expected
		writes = isTaken
	case "pair":
		isTaken = state.revisions[operation.Key] == operation.Expected
		if isLoose && !operation.IsUnknown {
			isTaken = operation.IsTaken
		}
		writes = isTaken
	}
	if !operation.IsUnknown {
		isConditional := operation.Kind != "get" && operation.Kind != "list" && operation.Kind != "put"
		if isConditional && isTaken != operation.IsTaken {
			return false, state
		}
		for _, observed := range operation.Read {
			if state.values[observed.Key] != observed.Value || !isLoose && state.revisions[observed.Key] != observed.Revision {
				return false, state
			}
		}
	}
	if writes {
		state.revision++
		state.set(operation.Key, operation.Value)
		if operation.Kind == "pair" {
			state.set(operation.Second, operation.SecondValue)
		}
	}
	if isLoose {
		state.revision, state.revisions = 0, [linearKeysMax]int64{}
		return true, state
	}
	return operation.IsUnknown || state.revision == operation.Revision, state
}

// set writes a key at the current revision; the value 0, which a delete carries, takes it away.
func (s *linearState) set(key int, value int64) {
	s.values[key], s.revisions[key] = value, s.revision
	if value == 0 {
		s.revisions[key] = 0
	}
}
