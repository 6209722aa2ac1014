-- KEYS[1] the slot; ARGV[1] what it must begin with; ARGV[2] the new value; ARGV[3] its life in milliseconds.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
