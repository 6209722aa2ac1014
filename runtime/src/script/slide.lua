-- KEYS[1] the slot; ARGV[1] what it must begin with; ARGV[2] its life from now in milliseconds; ARGV[3] what is left of its
-- life at most, so that many callers push it forward once.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 0
end
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
