package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// linearKeysMax bounds the state of the model, which holds every key.
const linearKeysMax = 8

// linearOperation is one call of one client as the history file holds it. Times are nanoseconds since the
// run began. Values are numbers, each written once; 0 stands for a key that is not there.
type linearOperation struct {
	Client int    `json:"client"`
	Kind   string `json:"kind"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`

	Key         int   `json:"key"`
	Second      int   `json:"second,omitempty"`
	Value       int64 `json:"value,omitempty"`
	SecondValue int64 `json:"secondValue,omitempty"`
	// Expected is what a swap compares the value with, and a pair the revision of its first key.
	Expected int64 `json:"expected,omitempty"`

	// IsUnknown says that the client was not told whether a write happened.
	IsUnknown bool `json:"unknown,omitempty"`
	// IsTaken says that a transaction's condition held, or that a delete found its key.
	IsTaken  bool             `json:"taken,omitempty"`
	Revision int64            `json:"revision,omitempty"`
	Read     []linearObserved `json:"read,omitempty"`

	isDropped bool
}

// linearObserved is a key as a client saw it.
type linearObserved struct {
	Key      int   `json:"key"`
	Value    int64 `json:"value"`
	Revision int64 `json:"revision"`
}

// linearHistory is the file that `linear run` writes and `linear check` reads.
type linearHistory struct {
	Keys         int               `json:"keys"`
	BaseRevision int64             `json:"baseRevision"`
	Operations   []linearOperation `json:"operations"`
}

// linearRunReport is the last line of `linear run`.
type linearRunReport struct {
	Operations int     `json:"operations"`
	Reads      int     `json:"reads"`
	Writes     int     `json:"writes"`
	Unknown    int     `json:"unknown"`
	Dropped    int     `json:"dropped"` // reads without an answer say nothing, so the history leaves them out
	Faults     int     `json:"faults"`
	Seconds    float64 `json:"seconds"`
}

type linearFlags struct {
	endpoint   string
	out        string
	clients    int
	keys       int
	operations int64
	pause      time.Duration
	timeout    time.Duration
	limit      time.Duration
	fault      string
	seed       uint64
}

// runLinear is `linear run`, which records what concurrent clients saw while somebody else kills and starts
// the server, and `linear check`, which says whether one copy of the data could have answered so.
func runLinear(args []string) {
	switch {
	case len(args) > 0 && args[0] == "run":
		recordLinear(args[1:])
	case len(args) > 0 && args[0] == "check":
		checkLinear(args[1:])
	default:
		fmt.Fprintln(os.Stderr, "usage: linear run --endpoint URL --out FILE [flags], or linear check FILE")
		os.Exit(2)
	}
}

func recordLinear(args []string) {
	var options linearFlags
	flags := flag.NewFlagSet("linear run", flag.ExitOnError)
	flags.StringVar(&options.endpoint, "endpoint", "", "client URL on 127.0.0.1")
	flags.StringVar(&options.out, "out", "", "the history file to write")
	flags.IntVar(&options.clients, "clients", 8, "clients at once, a connection each")
	flags.IntVar(&options.keys, "keys", 5, "number of different keys")
	flags.Int64Var(&options.operations, "operations", 2000, "number of operations with an outcome or without")
	flags.DurationVar(&options.pause, "pause", 4*time.Millisecond, "mean time between two operations of a client")
	flags.DurationVar(&options.timeout, "timeout", 2*time.Second, "how long a client waits for an answer")
	flags.DurationVar(&options.limit, "limit", 3*time.Minute, "give up after this time")
	flags.StringVar(&options.fault, "fault", "", "drop-write or stale-read: report what a bad server would have answered")
	flags.Uint64Var(&options.seed, "seed", 1, "same seed, same choice of operations")
	_ = flags.Parse(args) // ExitOnError: it does not come back with one
	requireLocal("linear", options.endpoint, flags.NArg())
	if options.keys < 2 || options.keys > linearKeysMax || options.clients < 1 || options.out == "" {
		fmt.Fprintln(os.Stderr, "linear: --out is needed, at least one client, and 2 to 8 keys")
		os.Exit(2)
	}
	report, err := recordHistory(options)
	finish("linear", report, err)
}

func recordHistory(options linearFlags) (*linearRunReport, error) {
	clients, closeAll, err := connectAll(options.endpoint, options.clients)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	ctx, cancel := context.WithTimeout(context.Background(), options.limit)
	defer cancel()
	cleared, err := clients[0].Delete(ctx, "linear/", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	history := linearHistory{Keys: options.keys, BaseRevision: cleared.Header.Revision}
	report := &linearRunReport{}
	begun, faults := atomic.Int64{}, atomic.Int64{}
	start := time.Now()
	var mutex sync.Mutex
	var loops sync.WaitGroup
	for number, client := range clients {
		worker := &linearWorker{
			number: number, client: client, options: options, start: start, faults: &faults,
			random: rand.New(rand.NewPCG(options.seed, uint64(number))),
		}
		loops.Go(func() {
			for ctx.Err() == nil {
				at := begun.Add(1)
				if at > options.operations {
					return
				}
				operation, isKept := worker.step(ctx, at)
				mutex.Lock()
				if isKept {
					history.Operations = append(history.Operations, operation)
				} else {
					report.Dropped++
					begun.Add(-1)
				}
				if count := len(history.Operations); isKept && count%50 == 0 {
					fmt.Printf("{\"completed\":%d}\n", count)
				}
				mutex.Unlock()
				if !isKept || operation.IsUnknown {
					worker.waitUntilBack(ctx)
				}
				time.Sleep(time.Duration(worker.random.Int64N(int64(2*options.pause) + 1)))
			}
		})
	}
	loops.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("only %d of %d operations within %v", len(history.Operations), options.operations, options.limit)
	}
	report.Seconds, report.Faults = time.Since(start).Seconds(), int(faults.Load())
	report.Operations = len(history.Operations)
	for _, operation := range history.Operations {
		switch {
		case operation.IsUnknown:
			report.Unknown++
		case operation.Kind == "get" || operation.Kind == "list":
			report.Reads++
		default:
			report.Writes++
		}
	}
	text, err := json.Marshal(history)
	if err != nil {
		return nil, err
	}
	return report, os.WriteFile(options.out, text, 0o600)
}

// linearWorker is one client. It remembers what it saw last of each key, so that its conditions hold often.
type linearWorker struct {
	number  int
	client  *clientv3.Client
	options linearFlags
	start   time.Time
	faults  *atomic.Int64
	random  *rand.Rand
	written int64
	seen    [linearKeysMax]linearObserved
	dropped *linearOperation // a write that was answered and not done, until this client has looked
}

// step does operation number `at` of the run. It reports false for a read without an answer.
func (w *linearWorker) step(ctx context.Context, at int64) (linearOperation, bool) {
	operation := linearOperation{Client: w.number, Key: w.random.IntN(w.options.keys), Kind: w.kind()}
	if w.dropped != nil {
		operation.Kind, operation.Key = "get", w.dropped.Key
	}
	operation.Second = (operation.Key + 1 + w.random.IntN(w.options.keys-1)) % w.options.keys
	switch operation.Kind {
	case "put":
		operation.Value = w.freshValue()
	case "swap":
		operation.Value, operation.Expected = w.freshValue(), w.seen[operation.Key].Value
	case "pair":
		operation.Value, operation.SecondValue = w.freshValue(), w.freshValue()
		operation.Expected = w.seen[operation.Key].Revision
	}
	limited, cancel := context.WithTimeout(ctx, w.options.timeout)
	defer cancel()
	operation.Call = time.Since(w.start).Nanoseconds()
	err := w.perform(limited, &operation, at)
	operation.Return = time.Since(w.start).Nanoseconds()
	if err != nil {
		if operation.isDropped {
			w.faults.Store(0)
		}
		operation.IsUnknown = true
		return operation, operation.Kind != "get" && operation.Kind != "list"
	}
	for _, observed := range operation.Read {
		w.seen[observed.Key] = observed
	}
	if w.dropped != nil {
		// Somebody wrote the key in between, so nobody can tell: another write has to go.
		if operation.Read[0].Revision > w.dropped.Revision {
			w.faults.Store(0)
		}
		w.dropped = nil
	}
	if operation.isDropped {
		w.dropped = &operation
	}
	if operation.Kind == "put" || operation.Kind == "swap" && operation.IsTaken {
		w.seen[operation.Key] = linearObserved{operation.Key, operation.Value, operation.Revision}
	}
	return operation, true
}

func (w *linearWorker) kind() string {
	switch draw := w.random.IntN(100); {
	case draw < 35:
		return "get"
	case draw < 40:
		return "list"
	case draw < 65:
		return "put"
	case draw < 73:
		return "delete"
	case draw < 88:
		return "swap"
	default:
		return "pair"
	}
}

func (w *linearWorker) freshValue() int64 {
	w.written++
	return int64(w.number+1)*1_000_000 + w.written
}

// waitUntilBack keeps a client from piling up writes of unknown outcome while the server is away.
func (w *linearWorker) waitUntilBack(ctx context.Context) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		_, err := w.client.Get(limited, "linear-probe")
		cancel()
		if err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
