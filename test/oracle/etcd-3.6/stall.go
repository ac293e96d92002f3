package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type stallFlags struct {
	endpoint  string
	events    int64
	valueSize int
	writers   int
	keys      int
	watch     bool
	hold      time.Duration
	limit     time.Duration
}

// stallReport is the one line of JSON on stdout.
type stallReport struct {
	Events       int64   `json:"events"`
	Bytes        int64   `json:"bytes"`
	Received     int64   `json:"received"`
	Missing      int64   `json:"missing"`
	Duplicates   int64   `json:"duplicates"`
	Disordered   int64   `json:"disordered"`
	WriteSeconds float64 `json:"writeSeconds"`
	ReadSeconds  float64 `json:"readSeconds"`
}

// runStall opens a watch stream that nobody reads, writes many bytes below it, and then reads: every event
// must come, once and in order. Between the two it prints a line `{"stalled":…}`, at which the caller may
// look at the server's memory.
func runStall(args []string) {
	var options stallFlags
	flags := flag.NewFlagSet("stall", flag.ExitOnError)
	flags.StringVar(&options.endpoint, "endpoint", "", "client URL on 127.0.0.1")
	flags.Int64Var(&options.events, "events", 2000, "number of puts")
	flags.IntVar(&options.valueSize, "value-size", 256<<10, "bytes of each value")
	flags.IntVar(&options.writers, "writers", 4, "puts at once")
	flags.IntVar(&options.keys, "keys", 16, "number of different keys")
	flags.BoolVar(&options.watch, "watch", true, "without it the same is written, and nobody watches")
	flags.DurationVar(&options.hold, "hold", time.Second, "how long to leave the stream unread after the last put")
	flags.DurationVar(&options.limit, "limit", 5*time.Minute, "give up after this time")
	_ = flags.Parse(args) // ExitOnError: it does not come back with one
	requireLocal("stall", options.endpoint, flags.NArg())
	if options.events < 1 || options.writers < 1 || options.keys < 1 || options.valueSize < 20 {
		fmt.Fprintln(os.Stderr, "stall: counts must be at least 1, and a value 20 bytes")
		os.Exit(2)
	}
	report := &stallReport{Events: options.events, Bytes: options.events * int64(options.valueSize)}
	finish("stall", report, stall(options, report))
}

func stall(options stallFlags, report *stallReport) error {
	ctx, cancel := context.WithTimeout(context.Background(), options.limit)
	defer cancel()
	writer, err := connect(options.endpoint)
	if err != nil {
		return err
	}
	defer writer.Close()

	var stream pb.Watch_WatchClient
	if options.watch {
		conn, opened, err := openStalled(ctx, options.endpoint)
		if err != nil {
			return err
		}
		defer conn.Close()
		stream = opened
	}
	start := time.Now()
	revisions, err := writeStalled(ctx, writer, options)
	if err != nil {
		return err
	}
	report.WriteSeconds = time.Since(start).Seconds()
	time.Sleep(options.hold)
	fmt.Printf("{\"stalled\":%d}\n", options.events)
	if stream == nil {
		return nil
	}
	time.Sleep(options.hold) // the caller measures meanwhile
	start = time.Now()
	err = report.read(stream, options.events, revisions)
	report.ReadSeconds = time.Since(start).Seconds()
	return err
}

// openStalled makes the watch on a connection of its own with the smallest windows, so that what is not
// read stays with the server.
func openStalled(ctx context.Context, endpoint string) (*grpc.ClientConn, pb.Watch_WatchClient, error) {
	conn, err := grpc.NewClient(strings.TrimPrefix(endpoint, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		return nil, nil, err
	}
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
			CreateRequest: &pb.WatchCreateRequest{Key: []byte("stall/"), RangeEnd: []byte("stall0"), Fragment: true},
		}})
	}
	if err == nil {
		var created *pb.WatchResponse
		if created, err = stream.Recv(); err == nil && !created.Created {
			err = fmt.Errorf("the watch was not made: %v", created)
		}
	}
	return conn, stream, err
}

// writeStalled returns which revisions the puts made.
func writeStalled(ctx context.Context, client *clientv3.Client, options stallFlags) (map[int64]bool, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	filler := strings.Repeat("stall...", options.valueSize/8)
	revisions := make(map[int64]bool, options.events)
	var mutex sync.Mutex
	var next atomic.Int64
	var writers sync.WaitGroup
	for range options.writers {
		writers.Go(func() {
			for ctx.Err() == nil {
				at := next.Add(1)
				if at > options.events {
					return
				}
				key := fmt.Sprintf("stall/%d", at%int64(options.keys))
				response, err := client.Put(ctx, key, fmt.Sprintf("%020d", at)+filler[:options.valueSize-20])
				if err != nil {
					cancel(err)
					return
				}
				mutex.Lock()
				revisions[response.Header.Revision] = true
				mutex.Unlock()
			}
		})
	}
	writers.Wait()
	return revisions, context.Cause(ctx)
}

// read goes on until the last revision has come.
func (r *stallReport) read(stream pb.Watch_WatchClient, events int64, revisions map[int64]bool) error {
	last := int64(0)
	for revision := range revisions {
		last = max(last, revision)
	}
	seen, before := make(map[int64]bool, events), int64(0)
	for before < last {
		response, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("after %d events: %w", r.Received, err)
		}
		if response.Canceled {
			return fmt.Errorf("the watch was cancelled after %d events: %s", r.Received, response.CancelReason)
		}
		for _, event := range response.Events {
			revision := event.Kv.ModRevision
			r.Received++
			if seen[revision] {
				r.Duplicates++
			}
			if revision < before {
				r.Disordered++
			}
			seen[revision] = true
			before = max(before, revision)
		}
	}
	for revision := range revisions {
		if !seen[revision] {
			r.Missing++
		}
	}
	return nil
}
