/* peer_kyotocabinet.cc - KyotoCabinet's HashDB, for store_peers. C++, as its C interface only has the slower PolyDB.
 *
 * Two buckets a key, linear chains (right where each bucket holds less than one), all of the file mapped. Durable:
 * OAUTOSYNC. A batch is one accept_bulk().
 */
#include <kchashdb.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "peer.h"

namespace
{

void must(kyotocabinet::HashDB *db, bool done, const char *what)
{
    if (done) return;
    std::fprintf(stderr, "kyotocabinet: %s: %s\n", what, db->error().message());
    std::exit(1);
}

void *open_store(const char *directory, uint64_t keys, bool durable)
{
    kyotocabinet::HashDB *db = new kyotocabinet::HashDB;
    uint32_t mode = kyotocabinet::HashDB::OWRITER | kyotocabinet::HashDB::OCREATE;
    if (durable) mode |= kyotocabinet::HashDB::OAUTOSYNC;
    must(db, db->tune_options(kyotocabinet::HashDB::TLINEAR), "tune_options");
    must(db, db->tune_buckets(static_cast<int64_t>(keys * 2 + 1)), "tune_buckets");
    must(db, db->tune_map(static_cast<int64_t>(keys * 256 + (64u << 20))), "tune_map");
    must(db, db->open(std::string(directory) + "/db.kch", mode), "open");
    return db;
}

void close_store(void *pointer)
{
    kyotocabinet::HashDB *db = static_cast<kyotocabinet::HashDB *>(pointer);
    must(db, db->close(), "close");
    delete db;
}

void put(void *pointer, const char *key, const char *value)
{
    kyotocabinet::HashDB *db = static_cast<kyotocabinet::HashDB *>(pointer);
    must(db, db->set(key, PEER_KEY_SIZE, value, PEER_VALUE_SIZE), "set");
}

/* Gives each key that is visited the next value: they are visited in the order of the list. */
class setter final : public kyotocabinet::DB::Visitor
{
  public:
    explicit setter(const char (*values)[PEER_VALUE_SIZE]) : next_(values)
    {
    }

  private:
    const char *visit_full(const char *, size_t, const char *, size_t, size_t *size) override
    {
        return next(size);
    }
    const char *visit_empty(const char *, size_t, size_t *size) override
    {
        return next(size);
    }
    const char *next(size_t *size)
    {
        *size = PEER_VALUE_SIZE;
        return *next_++;
    }

    const char (*next_)[PEER_VALUE_SIZE];
};

void put_batch(void *pointer, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE], size_t count)
{
    kyotocabinet::HashDB *db = static_cast<kyotocabinet::HashDB *>(pointer);
    std::vector<std::string> list;
    setter visitor(values);
    list.reserve(count);
    for (size_t i = 0; i < count; i++) list.emplace_back(keys[i], PEER_KEY_SIZE);
    must(db, db->accept_bulk(list, &visitor, true), "accept_bulk");
}

bool get(void *pointer, const char *key, char *value, size_t *size)
{
    kyotocabinet::HashDB *db = static_cast<kyotocabinet::HashDB *>(pointer);
    int32_t got = db->get(key, PEER_KEY_SIZE, value, PEER_VALUE_SIZE);
    if (got < 0) must(db, db->error() == kyotocabinet::BasicDB::Error::NOREC, "get");
    *size = got < 0 ? 0 : static_cast<size_t>(got);
    return got >= 0;
}

} // namespace

extern "C" const struct peer peer_kyotocabinet = {
    "KyotoCabinet",
    "HashDB, TLINEAR, 2 buckets a key, all mapped; batch: accept_bulk; durable: OAUTOSYNC",
    open_store,
    close_store,
    put,
    put_batch,
    get,
};
