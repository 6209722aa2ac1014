-- KEYS[1] the slot; ARGV[1] the new value; ARGV[2] its life in milliseconds.
if redis.call('GETRANGE', KEYS[1], 0, 0) == 'H' then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
