-- KEYS[1] the lock; KEYS[2] the counter of tokens. ARGV[1] our value; ARGV[2] the token. Returns 1 if the lock is ours, and then
-- nobody gets that token or a lower one any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2])
end
return 1
