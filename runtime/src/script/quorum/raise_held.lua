-- KEYS[1] the lock; KEYS[2] the ledger; KEYS[3] the lock's counter of tokens. ARGV[1] our value; ARGV[2] the token; ARGV[3] the
-- life of an idle counter. Returns 1 if the lock is ours: then nobody gets that token or a lower one here any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
raise(KEYS[3], KEYS[2], ARGV[2], ARGV[3])
return 1
