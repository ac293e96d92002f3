package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// benchFlags are the flags of `bench`.
type benchFlags struct {
	endpoint  string
	clients   int
	conns     int
	duration  time.Duration
	count     int64
	valueSize int
	keys      int
	watchers  int
	seed      uint64
}

// benchReport is the one line of JSON on stdout. Latencies are in microseconds; of a watch run they are
// those of the writer's puts, and the event delays run from the start of a put to the arrival of its event.
type benchReport struct {
	Mode         string  `json:"mode"`
	Clients      int     `json:"clients"`
	Conns        int     `json:"conns"`
	Seconds      float64 `json:"seconds"`
	Operations   int64   `json:"operations"`
	Errors       int64   `json:"errors"`
	FirstError   string  `json:"firstError,omitempty"`
	OpsPerSecond float64 `json:"opsPerSecond"`
	P50          uint32  `json:"p50"`
	P95          uint32  `json:"p95"`
	P99          uint32  `json:"p99"`
	Max          uint32  `json:"max"`

	Watchers        int     `json:"watchers,omitempty"`
	Events          int64   `json:"events,omitempty"`
	EventsExpected  int64   `json:"eventsExpected,omitempty"`
	EventsPerSecond float64 `json:"eventsPerSecond,omitempty"`
	DelayP50        uint32  `json:"delayP50,omitempty"`
	DelayP99        uint32  `json:"delayP99,omitempty"`
}

// benchStep does one operation of a client.
type benchStep func(ctx context.Context, client *clientv3.Client, random *rand.Rand) error

// runBench loads the server at --endpoint and leaves the process with 0, 1 (failed) or 2 (usage).
func runBench(args []string) {
	var options benchFlags
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&options.endpoint, "endpoint", "", "client URL on 127.0.0.1")
	flags.IntVar(&options.clients, "clients", 16, "closed loops at once")
	flags.IntVar(&options.conns, "conns", 4, "connections they share")
	flags.DurationVar(&options.duration, "duration", 2*time.Second, "how long to load")
	flags.Int64Var(&options.count, "count", 1<<40, "end after this many operations, if that comes first")
	flags.IntVar(&options.valueSize, "value-size", 256, "bytes of each value")
	flags.IntVar(&options.keys, "keys", 10_000, "number of different keys")
	flags.IntVar(&options.watchers, "watchers", 100, "watch: how many, all on what one client writes")
	flags.Uint64Var(&options.seed, "seed", 1, "same seed, same choice of keys")

	credentialFlags(flags)

	modes := map[string]func(benchFlags) benchStep{
		"fill":  fillStep,
		"put":   putStep,
		"range": rangeStep,
		"txn":   txnStep,
		"mixed": mixedStep,
		"watch": nil,
	}
	if len(args) == 0 || args[0] != "watch" && modes[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench fill|put|range|txn|mixed|watch --endpoint URL [flags]")
		os.Exit(2)
	}
	_ = flags.Parse(args[1:]) // ExitOnError: it does not come back with one
	requireLocal("bench", options.endpoint, flags.NArg())
	if options.clients < 1 || options.conns < 1 || options.keys < 1 || options.valueSize < 0 || options.watchers < 1 {
		fmt.Fprintln(os.Stderr, "bench: counts must be at least 1")
		os.Exit(2)
	}
	report := &benchReport{Mode: args[0], Clients: options.clients, Conns: options.conns}
	var err error
	switch args[0] {
	case "watch":
		err = benchWatch(options, report)
	case "fill":
		options.count, options.duration = int64(options.keys), 10*time.Minute
		fallthrough
	default:
		err = benchLoops(options, modes[args[0]](options), report)
	}
	finish("bench", report, err)
}

func benchKeyName(index int) string { return fmt.Sprintf("bench/key-%08d", index) }

func fillStep(options benchFlags) benchStep {
	value, next := strings.Repeat("v", options.valueSize), atomic.Int64{}
	return func(ctx context.Context, client *clientv3.Client, _ *rand.Rand) error {
		_, err := client.Put(ctx, benchKeyName(int(next.Add(1)-1)), value)
		return err
	}
}

func putStep(options benchFlags) benchStep {
	value := strings.Repeat("v", options.valueSize)
	return func(ctx context.Context, client *clientv3.Client, random *rand.Rand) error {
		_, err := client.Put(ctx, benchKeyName(random.IntN(options.keys)), value)
		return err
	}
}

// rangeStep reads one key, linearizably; an answer without it counts as an error.
func rangeStep(options benchFlags) benchStep {
	return func(ctx context.Context, client *clientv3.Client, random *rand.Rand) error {
		key := benchKeyName(random.IntN(options.keys))
		response, err := client.Get(ctx, key)
		if err == nil && len(response.Kvs) != 1 {
			return fmt.Errorf("%d records for %s", len(response.Kvs), key)
		}
		return err
	}
}

// txnStep compares one key and puts two, so it makes a revision each time.
func txnStep(options benchFlags) benchStep {
	value := strings.Repeat("v", options.valueSize)
	return func(ctx context.Context, client *clientv3.Client, random *rand.Rand) error {
		first := random.IntN(options.keys)
		second := (first + 1 + random.IntN(max(1, options.keys-1))) % options.keys
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(benchKeyName(first)), ">", -1)).
			Then(clientv3.OpPut(benchKeyName(first), value), clientv3.OpPut(benchKeyName(second)+"/", value)).
			Commit()
		if err == nil && !response.Succeeded {
			return fmt.Errorf("a comparison that always holds did not")
		}
		return err
	}
}

// mixedStep is 70 % reads of one key, 5 % lists of twenty, 20 % puts and 5 % transactions.
func mixedStep(options benchFlags) benchStep {
	read, put, txn := rangeStep(options), putStep(options), txnStep(options)
	return func(ctx context.Context, client *clientv3.Client, random *rand.Rand) error {
		switch draw := random.IntN(100); {
		case draw < 70:
			return read(ctx, client, random)
		case draw < 75:
			from := benchKeyName(random.IntN(options.keys))
			_, err := client.Get(ctx, from, clientv3.WithRange("bench/l"), clientv3.WithLimit(20))
			return err
		case draw < 95:
			return put(ctx, client, random)
		default:
			return txn(ctx, client, random)
		}
	}
}

// benchLoops runs the clients until the time or the count is over. Each connection is opened before.
func benchLoops(options benchFlags, step benchStep, report *benchReport) error {
	clients, closeAll, err := connectAll(options.endpoint, options.conns)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := touch(clients); err != nil {
		return err
	}
	var left, failed atomic.Int64
	var firstError atomic.Pointer[string]
	left.Store(options.count)
	latencies := make([][]uint32, options.clients)
	ctx, cancel := context.WithTimeout(context.Background(), options.duration+30*time.Second)
	defer cancel()
	start := time.Now()
	deadline := start.Add(options.duration)
	var loops sync.WaitGroup
	for number := range options.clients {
		loops.Go(func() {
			random := rand.New(rand.NewPCG(options.seed, uint64(number)))
			client := clients[number%len(clients)]
			for time.Now().Before(deadline) && left.Add(-1) >= 0 {
				began := time.Now()
				if err := step(ctx, client, random); err != nil {
					failed.Add(1)
					text := err.Error()
					firstError.CompareAndSwap(nil, &text)
					time.Sleep(time.Millisecond)
					continue
				}
				latencies[number] = append(latencies[number], uint32(time.Since(began).Microseconds()))
			}
		})
	}
	loops.Wait()
	report.Seconds = time.Since(start).Seconds()
	report.Errors = failed.Load()
	if text := firstError.Load(); text != nil {
		report.FirstError = *text
	}
	report.latencies(slices.Concat(latencies...))
	return nil
}

// touch makes every connection do its handshake, so that it is not measured.
func touch(clients []*clientv3.Client) error {
	for _, client := range clients {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := client.Get(ctx, "bench/none")
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *benchReport) latencies(all []uint32) {
	slices.Sort(all)
	r.Operations = int64(len(all))
	r.OpsPerSecond = float64(len(all)) / r.Seconds
	r.P50, r.P95, r.P99, r.Max = quantile(all, 0.5), quantile(all, 0.95), quantile(all, 0.99), quantile(all, 1)
}

// quantile is that of sorted values; 0 when there is none.
func quantile(sorted []uint32, share float64) uint32 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
