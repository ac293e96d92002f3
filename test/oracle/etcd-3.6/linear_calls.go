package main

import (
	"context"
	"fmt"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func linearKey(index int) string { return fmt.Sprintf("linear/%d", index) }

// perform makes the call and notes what came back. Every write is told once: clientv3 does not repeat it.
func (w *linearWorker) perform(ctx context.Context, operation *linearOperation, at int64) error {
	key, value := linearKey(operation.Key), strconv.FormatInt(operation.Value, 10)
	switch operation.Kind {
	case "get":
		response, err := w.client.Get(ctx, key)
		if err != nil {
			return err
		}
		operation.Revision = response.Header.Revision
		kvs := response.Kvs
		if w.isFault("stale-read", at) && len(kvs) == 1 && kvs[0].Version > 1 {
			older, err := w.client.Get(ctx, key, clientv3.WithRev(kvs[0].ModRevision-1))
			if err != nil {
				return err
			}
			kvs = older.Kvs
			w.faults.Add(1)
		}
		operation.Read = []linearObserved{observe(operation.Key, kvs)}
	case "list":
		response, err := w.client.Get(ctx, "linear/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		operation.Revision = response.Header.Revision
		for index := range w.options.keys {
			operation.Read = append(operation.Read, observe(index, response.Kvs))
		}
	case "put":
		if w.isFault("drop-write", at) && w.faults.CompareAndSwap(0, 1) {
			operation.isDropped = true
			key = "linear-dropped" // takes the revision, as the write would have, and leaves the key as it was
		}
		response, err := w.client.Put(ctx, key, value)
		if err != nil {
			return err
		}
		operation.Revision = response.Header.Revision
	case "delete":
		response, err := w.client.Delete(ctx, key)
		if err != nil {
			return err
		}
		operation.Revision, operation.IsTaken = response.Header.Revision, response.Deleted == 1
	default:
		return w.performTxn(ctx, operation)
	}
	return nil
}

func (w *linearWorker) performTxn(ctx context.Context, operation *linearOperation) error {
	key, second := linearKey(operation.Key), linearKey(operation.Second)
	put := func(key string, value int64) clientv3.Op { return clientv3.OpPut(key, strconv.FormatInt(value, 10)) }
	condition := clientv3.Compare(clientv3.ModRevision(key), "=", operation.Expected)
	then := []clientv3.Op{put(key, operation.Value)}
	otherwise := []clientv3.Op{clientv3.OpGet(key)}
	indexes := []int{operation.Key}
	switch {
	case operation.Kind == "pair":
		then = append(then, put(second, operation.SecondValue))
		otherwise = append(otherwise, clientv3.OpGet(second))
		indexes = append(indexes, operation.Second)
	case operation.Expected == 0:
		condition = clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	default:
		condition = clientv3.Compare(clientv3.Value(key), "=", strconv.FormatInt(operation.Expected, 10))
	}
	response, err := w.client.Txn(ctx).If(condition).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return err
	}
	operation.Revision, operation.IsTaken = response.Header.Revision, response.Succeeded
	if response.Succeeded {
		return nil
	}
	for at, index := range indexes {
		found := response.Responses[at].Response.(*pb.ResponseOp_ResponseRange).ResponseRange
		operation.Read = append(operation.Read, observe(index, found.Kvs))
	}
	return nil
}

// isFault says whether operation number `at` is one that a bad server of the asked kind would get wrong.
func (w *linearWorker) isFault(fault string, at int64) bool {
	if w.options.fault != fault || at < w.options.operations/3 {
		return false
	}
	return fault == "drop-write" || at%7 == 0
}

// observe finds a key among records; an absent one is all zeros but its index.
func observe(index int, kvs []*mvccpb.KeyValue) linearObserved {
	key := linearKey(index)
	for _, kv := range kvs {
		if string(kv.Key) == key {
			value, err := strconv.ParseInt(string(kv.Value), 10, 64)
			if err != nil {
				value = -1 // nobody wrote that
			}
			return linearObserved{index, value, kv.ModRevision}
		}
	}
	return linearObserved{Key: index}
}
