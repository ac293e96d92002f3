package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// contestCells are locks and elections: the server does these with calls of its own, as whoever asked.
func contestCells() (cells []authCell) {
	for _, folder := range []string{"k", "x"} {
		cells = append(cells, lockCells(folder)...)
		cells = append(cells, electionCells(folder)...)
	}
	return cells
}

func lockCells(folder string) (cells []authCell) {
	for _, lease := range []int64{leaseWithoutKeys, leaseInX, leaseNowhere} {
		cells = append(cells, authCell{name: fmt.Sprintf("lock %s/gate with lease %x", folder, lease), call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.locker.Lock(ctx, &v3lockpb.LockRequest{Name: []byte(folder + "/gate"), Lease: lease})
			return string(answer.GetKey()), err
		}})
	}
	return append(cells, authCell{name: fmt.Sprintf("unlock %s/door", folder), call: func(r *authRun, ctx context.Context) (string, error) {
		_, err := r.locker.Unlock(ctx, &v3lockpb.UnlockRequest{Key: []byte(folder + "/door/1")})
		return "", err
	}})
}

func leaderText(answer *v3electionpb.LeaderResponse) string {
	if answer.GetKv() == nil {
		return ""
	}
	return string(answer.Kv.Value)
}

func electionCells(folder string) []authCell {
	vote, key := []byte(folder+"/vote"), folder+"/vote/1"
	lease := authKeys[key].lease
	// leader is who holds the office, of whom root knows the revision.
	leader := func(r *authRun) (*v3electionpb.LeaderKey, error) {
		known := &v3electionpb.LeaderKey{Name: vote, Key: []byte(key), Lease: lease}
		return known, r.asRoot("the leader", func(ctx context.Context) error {
			found, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte(key)})
			if err == nil && len(found.Kvs) == 1 {
				known.Rev = found.Kvs[0].CreateRevision
			}
			return err
		})
	}
	return []authCell{
		{name: "campaign in " + folder, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.election.Campaign(ctx, &v3electionpb.CampaignRequest{Name: []byte(folder + "/poll"), Lease: leaseWithoutKeys, Value: []byte("me")})
			return string(answer.GetLeader().GetKey()), err
		}},
		{name: "leader in " + folder, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.election.Leader(ctx, &v3electionpb.LeaderRequest{Name: vote})
			return leaderText(answer), err
		}},
		{name: "observe " + folder, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := r.election.Observe(ctx, &v3electionpb.LeaderRequest{Name: vote})
			if err != nil {
				return "", err
			}
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return "the end", nil
			}
			return leaderText(answer), err
		}},
		{name: "proclaim in " + folder, call: func(r *authRun, ctx context.Context) (string, error) {
			known, err := leader(r)
			if err != nil {
				return "", err
			}
			_, err = r.election.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: known, Value: []byte("me")})
			return "", err
		}},
		{name: "resign in " + folder, call: func(r *authRun, ctx context.Context) (string, error) {
			known, err := leader(r)
			if err != nil {
				return "", err
			}
			_, err = r.election.Resign(ctx, &v3electionpb.ResignRequest{Leader: known})
			return "", err
		}},
	}
}
