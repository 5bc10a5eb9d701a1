/* peer_tkrzw.cc - tkrzw's HashDBM, for store_peers. C++, as its C interface only has the slower PolyDBM.
 *
 * Two buckets a key; mapped, as by default. Durable: synchronized, hard, after each put. A batch is one ProcessMulti().
 */
#include <tkrzw_dbm_hash.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "peer.h"

namespace
{

struct handle {
    tkrzw::HashDBM dbm;
    bool durable;
    std::string value; // keeps its memory from get to get
};

void must(const tkrzw::Status &status, const char *what)
{
    if (status.IsOK()) return;
    std::fprintf(stderr, "tkrzw: %s: %s\n", what, static_cast<std::string>(status).c_str());
    std::exit(1);
}

void *open_store(const char *directory, uint64_t keys, bool durable)
{
    handle *opened = new handle;
    tkrzw::HashDBM::TuningParameters tuning;
    tuning.num_buckets = static_cast<int64_t>(keys * 2 + 1);
    opened->durable = durable;
    must(opened->dbm.OpenAdvanced(std::string(directory) + "/db.tkh", true, tkrzw::File::OPEN_DEFAULT, tuning), "open");
    return opened;
}

void close_store(void *pointer)
{
    handle *opened = static_cast<handle *>(pointer);
    must(opened->dbm.Close(), "close");
    delete opened;
}

void put(void *pointer, const char *key, const char *value)
{
    handle *opened = static_cast<handle *>(pointer);
    must(opened->dbm.Set(std::string_view(key, PEER_KEY_SIZE), std::string_view(value, PEER_VALUE_SIZE)), "put");
    if (opened->durable) must(opened->dbm.Synchronize(true), "synchronize");
}

class setter final : public tkrzw::DBM::RecordProcessor
{
  public:
    explicit setter(std::string_view value) : value_(value)
    {
    }
    std::string_view ProcessFull(std::string_view, std::string_view) override
    {
        return value_;
    }
    std::string_view ProcessEmpty(std::string_view) override
    {
        return value_;
    }

  private:
    std::string_view value_;
};

void put_batch(void *pointer, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE], size_t count)
{
    handle *opened = static_cast<handle *>(pointer);
    std::vector<setter> setters;
    std::vector<std::pair<std::string_view, tkrzw::DBM::RecordProcessor *>> pairs;
    setters.reserve(count);
    pairs.reserve(count);
    for (size_t i = 0; i < count; i++) {
        setters.emplace_back(std::string_view(values[i], PEER_VALUE_SIZE));
        pairs.emplace_back(std::string_view(keys[i], PEER_KEY_SIZE), &setters.back());
    }
    must(opened->dbm.ProcessMulti(pairs, true), "process");
}

bool get(void *pointer, const char *key, char *value, size_t *size)
{
    handle *opened = static_cast<handle *>(pointer);
    tkrzw::Status status = opened->dbm.Get(std::string_view(key, PEER_KEY_SIZE), &opened->value);
    if (status == tkrzw::Status::NOT_FOUND_ERROR) return false;
    must(status, "get");
    *size = opened->value.size();
    std::memcpy(value, opened->value.data(), *size < PEER_VALUE_SIZE ? *size : PEER_VALUE_SIZE);
    return true;
}

} // namespace

extern "C" const struct peer peer_tkrzw = {
    "tkrzw",    "HashDBM, 2 buckets a key; batch: ProcessMulti; durable: Synchronize(hard) after each put",
    open_store, close_store,
    put,        put_batch,
    get,
};
