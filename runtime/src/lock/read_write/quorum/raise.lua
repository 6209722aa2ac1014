-- KEYS as of `acquire.lua` beside this. ARGV[1] our value; ARGV[2] the token; ARGV[3] the life of an idle counter. Returns 1 if we are
-- among those who share it: then whoever has the lock alone next gets a greater token.
purge(KEYS[5])
if redis.call('GET', KEYS[1]) ~= SHARED or not redis.call('ZSCORE', KEYS[5], ARGV[1]) then
  return 0
end
raise(KEYS[3], KEYS[2], ARGV[2], ARGV[3])
return 1
