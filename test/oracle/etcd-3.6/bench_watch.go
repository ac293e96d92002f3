package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// benchWatch lets one client put in a closed loop while all watchers look on. It ends when every watcher
// has seen every put, each once and in order; the time until then is what the events are divided by.
func benchWatch(options benchFlags, report *benchReport) error {
	clients, closeAll, err := connectAll(options.endpoint, options.conns+1)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := touch(clients); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)

	var starts sync.Map // sequence number → when its put began
	var received, last atomic.Int64
	last.Store(-1)
	delays := make([][]uint32, options.watchers)
	var ready, done sync.WaitGroup
	done.Add(options.watchers)
	for number := range options.watchers {
		ready.Add(1)
		go func() {
			defer done.Done()
			channel := clients[number%options.conns].Watch(ctx, "watched/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
			next, made := int64(0), sync.OnceFunc(ready.Done)
			for response := range channel {
				if err := response.Err(); err != nil {
					cancel(fmt.Errorf("watcher %d: %w", number, err))
					return
				}
				if response.Created {
					made()
				}
				now := time.Now()
				for _, event := range response.Events {
					sequence := sequenceOf(event.Kv.Value)
					if sequence != next {
						cancel(fmt.Errorf("watcher %d: event %d came where %d was due", number, sequence, next))
						return
					}
					next++
					received.Add(1)
					if began, isKnown := starts.Load(sequence); isKnown && sequence%8 == 0 {
						delays[number] = append(delays[number], uint32(now.Sub(began.(time.Time)).Microseconds()))
					}
				}
				if end := last.Load(); end >= 0 && next == end {
					return
				}
			}
			if ctx.Err() == nil {
				cancel(fmt.Errorf("watcher %d: the stream ended", number))
			}
		}()
	}
	if err := waitFor(ctx, &ready, 30*time.Second, "watchers to be made"); err != nil {
		return err
	}

	writer := clients[options.conns]
	var latencies []uint32
	filler := strings.Repeat("v", max(0, options.valueSize-20))
	start := time.Now()
	sequence := int64(0)
	for ; time.Since(start) < options.duration && sequence < options.count && ctx.Err() == nil; sequence++ {
		began := time.Now()
		starts.Store(sequence, began)
		if _, err := writer.Put(ctx, fmt.Sprintf("watched/%03d", sequence%100), fmt.Sprintf("%020d%s", sequence, filler)); err != nil {
			cancel(err)
			break
		}
		latencies = append(latencies, uint32(time.Since(began).Microseconds()))
	}
	// One more put, after the count is known, wakes watchers that had already seen all.
	last.Store(sequence + 1)
	if _, err := writer.Put(ctx, "watched/end", fmt.Sprintf("%020d", sequence)); err != nil {
		cancel(err)
	}
	if err := waitFor(ctx, &done, 60*time.Second, "events to arrive"); err != nil {
		return fmt.Errorf("%w (%d of %d)", err, received.Load(), (sequence+1)*int64(options.watchers))
	}
	report.Seconds = time.Since(start).Seconds()
	report.Clients, report.Watchers = 1, options.watchers
	report.Events, report.EventsExpected = received.Load(), (sequence+1)*int64(options.watchers)
	report.EventsPerSecond = float64(report.Events) / report.Seconds
	report.latencies(latencies)
	all := slices.Concat(delays...)
	slices.Sort(all)
	report.DelayP50, report.DelayP99 = quantile(all, 0.5), quantile(all, 0.99)
	return nil
}

// sequenceOf reads the number that a value starts with; -1 when there is none.
func sequenceOf(value []byte) int64 {
	if len(value) < 20 {
		return -1
	}
	number := int64(0)
	for _, digit := range value[:20] {
		number = number*10 + int64(digit-'0')
	}
	return number
}

// waitFor waits for a group, but not longer than the time, nor when the run has failed meanwhile.
func waitFor(ctx context.Context, group *sync.WaitGroup, limit time.Duration, what string) error {
	finished := make(chan struct{})
	go func() {
		group.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(limit):
		return fmt.Errorf("waited %v for %s", limit, what)
	}
}
